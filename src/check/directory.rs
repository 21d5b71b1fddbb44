//! The directories that Portico writes to: of the embedded store, or of what is kept of a Redis.
//! Nothing is made in them but a file that is gone at once, because what a check by root makes the
//! user of the service could not open.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portico_control::store::{StoreError, StoreSettings, embedded};

use super::line::Line;
use super::{Plan, blocking, ports};

const STORE: &str = "store";
const CACHE: &str = "store.cache";

pub async fn check(plan: Arc<Plan>) -> Vec<Line> {
    match &plan.settings.store.settings {
        StoreSettings::Embedded(directory) => {
            let directory = directory.clone();
            let running = ports::running(&plan.settings).await;
            let looked = blocking(move || store(&directory, running)).await;
            looked.into_iter().collect()
        }
        StoreSettings::Redis(_) => {
            let Some(path) = plan.settings.store.cache.clone() else { return Vec::new() };
            blocking(move || cache(&path)).await.into_iter().collect()
        }
    }
}

fn store(directory: &Path, running: bool) -> Line {
    let what = directory.display().to_string();
    match embedded::is_in_use(directory) {
        Ok(true) if running => {
            return Line::ok(STORE, what, "in use by the Portico that runs here");
        }
        Ok(true) => {
            let fix = "stop the other process, or choose another directory in store.url";
            return Line::settings(STORE, what, "in use by another process", fix);
        }
        Ok(false) => {}
        Err(StoreError::Directory { source, .. }) => {
            let detail = format!("its file cannot be opened: {source}");
            let fix = "give Portico's user this directory and what is in it";
            return Line::settings(STORE, what, detail, fix);
        }
        Err(error) => {
            let detail = format!("{:#}", anyhow::Error::from(error));
            let fix = "restore it from a backup (`portico store import`)";
            return Line::machine(STORE, what, detail, fix);
        }
    }
    written(STORE, directory)
}

fn cache(path: &Path) -> Line {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    written(CACHE, directory.unwrap_or(Path::new(".")))
}

/// By a file that is made and removed, in the directory or in what would have to hold it.
fn written(id: &'static str, directory: &Path) -> Line {
    let what = directory.display().to_string();
    let there = nearest(directory);
    let fix = "give Portico's user this directory, or choose another in store.url or store.cache";
    match tempfile::tempfile_in(&there).and_then(|file: File| file.metadata()) {
        Ok(_) if there == directory => Line::ok(id, what, "it can be written"),
        Ok(_) => Line::ok(id, what, format!("it can be made in {}", there.display())),
        Err(error) => {
            let there = there.display();
            Line::settings(id, what, format!("{there} cannot be written: {error}"), fix)
        }
    }
}

/// Itself, or the first above it that is there.
fn nearest(directory: &Path) -> PathBuf {
    let is_there = |path: &&Path| match path.symlink_metadata() {
        Err(error) => error.kind() != ErrorKind::NotFound,
        Ok(_) => true,
    };
    let all = directory.ancestors().filter(|path| !path.as_os_str().is_empty());
    all.into_iter().find(is_there).unwrap_or(Path::new(".")).to_owned()
}
