//! Where values come from: the command line, the environment, the file. The only part of the
//! settings that touches the process; what it gathers is plain data, so that tests bring their
//! own.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, value_parser};

use super::mistake::Mistake;
use super::table::{self, KEYS, Key, Preset};

const FILE_FLAG: &str = "config";
pub const FILE_ENVIRONMENT: &str = "PORTICO_CONFIG";

#[derive(Debug, Default)]
pub struct Sources {
    pub flags: Vec<(&'static Key, String)>,
    pub environment: Vec<(String, String)>,
    pub file: Option<File>,
    /// What a subcommand brings for keys that mean nothing to it.
    pub defaults: Vec<(&'static Key, String)>,
    /// What went wrong while gathering.
    pub mistakes: Vec<Mistake>,
}

#[derive(Debug)]
pub struct File {
    pub path: PathBuf,
    pub text: String,
}

/// `--config` and a flag for each key, for a subcommand that reads settings.
pub fn arguments() -> Vec<Arg> {
    let file = Arg::new(FILE_FLAG)
        .long(FILE_FLAG)
        .short('c')
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("The TOML file with the settings [environment: {FILE_ENVIRONMENT}]"));
    std::iter::once(file).chain(KEYS.iter().filter_map(argument)).collect()
}

fn argument(key: &'static Key) -> Option<Arg> {
    let heading = match key.section() {
        "" => "Settings".to_owned(),
        section => format!("Settings of [{section}]"),
    };
    let default = match key.default {
        Preset::Value("") => " [default: none]".to_owned(),
        Preset::Value(value) => format!(" [default: {value}]"),
        Preset::Required(_) => " [required]".to_owned(),
        Preset::Unset { meaning, .. } => format!(" [default: {meaning}]"),
    };
    let arg = Arg::new(key.name)
        .long(key.flag()?)
        .value_name(key.form.to_owned())
        .help(format!("{}{default}", key.help.trim_end_matches('.')))
        .help_heading(heading);
    Some(match key.short_flag {
        Some(short) => arg.visible_alias(short),
        None => arg,
    })
}

impl Sources {
    pub fn of_process(matches: &ArgMatches) -> Self {
        let flags = KEYS
            .iter()
            .filter(|key| key.flag().is_some())
            .filter_map(|key| Some((key, matches.get_one::<String>(key.name)?.clone())));
        let file = matches.get_one::<PathBuf>(FILE_FLAG).cloned();
        Self { flags: flags.collect(), ..Self::with_file(file) }
    }

    /// For a subcommand that has no flags for settings.
    pub fn of_environment() -> Self {
        Self::with_file(None)
    }

    /// The environment, and this file or else the one that the environment names.
    fn with_file(file: Option<PathBuf>) -> Self {
        let mut sources = Sources {
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                // A name that is ours with a value that is not UTF-8 is wrong, not absent.
                .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
                .collect(),
            ..Sources::default()
        };
        let by_environment = || std::env::var_os(FILE_ENVIRONMENT).filter(|path| !path.is_empty());
        if let Some(path) = file.or_else(|| by_environment().map(PathBuf::from)) {
            sources.read(&path);
        }
        sources
    }

    /// A value as a flag would have given it.
    ///
    /// # Panics
    /// When `name` is not in the table, which is a slip in the code of the caller.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let key = table::find(name).expect("the caller names a key of the table");
        self.flags.push((key, value.into()));
    }

    /// A value for a key that nobody else gives one.
    ///
    /// # Panics
    /// When `name` is not in the table, which is a slip in the code of the caller.
    pub fn set_default(&mut self, name: &'static str, value: impl Into<String>) {
        let key = table::find(name).expect("the caller names a key of the table");
        self.defaults.push((key, value.into()));
    }

    fn read(&mut self, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.file = Some(File { path: path.to_owned(), text }),
            Err(error) => self.mistakes.push(Mistake {
                name: path.display().to_string(),
                origin: None,
                wrong: format!("cannot be read: {error}"),
                fix: format!("correct --{FILE_FLAG} or {FILE_ENVIRONMENT}, or the file's rights"),
            }),
        }
    }
}
