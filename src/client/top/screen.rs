//! The terminal while `portico top` has it: another screen, keys as they are pressed, and all as it
//! was when it leaves, also by a panic.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::sync::{Mutex, Once, PoisonError};

use anyhow::Context;
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use terminal_size::terminal_size;
use tokio::sync::mpsc;

use super::super::failure::{Failure, Outcome};
use super::super::output::write;
use super::keys::{self, Key};

/// ECMA-48 and what xterm added to it: the other screen, no cursor, nothing on a next line that is
/// too long.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
const INVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

/// How the terminal was. One that was left has none.
static BEFORE: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Reads of the keyboard, before it has to wait.
const KEYS_WAITING_MAX: usize = 16;

pub struct Screen {
    /// Not standard input, which may be something else.
    tty: File,
    keys: mpsc::Receiver<Vec<Key>>,
}

pub struct Line {
    pub text: String,
    pub inverse: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

impl Screen {
    pub fn enter() -> Outcome<Self> {
        let tty = File::open("/dev/tty")
            .context("there is no terminal to read keys from; --once needs none")
            .map_err(Failure::Usage)?;
        let keyboard = tty.try_clone().map_err(Failure::ours)?;
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let told = std::panic::take_hook();
            // Before it is told, or it would be told on the screen that goes away.
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                told(panic);
            }));
        });
        let screen = Self { tty, keys: listen(keyboard) };
        screen.take()?;
        Ok(screen)
    }

    fn take(&self) -> Outcome {
        let tty = &self.tty;
        let before = termios::tcgetattr(tty).map_err(Failure::ours)?;
        let mut ours = before.clone();
        ours.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        // Ctrl-C stays a signal. Ctrl-Z is a key, because the screen is left first; Ctrl-\ is none.
        for character in [SpecialCharacterIndices::VSUSP, SpecialCharacterIndices::VQUIT] {
            ours.control_chars[character as usize] = nix::libc::_POSIX_VDISABLE;
        }
        let kept = tty.try_clone().map_err(Failure::ours)?;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some((kept, before));
        termios::tcsetattr(tty, SetArg::TCSADRAIN, &ours).map_err(Failure::ours)?;
        write(ENTER.as_bytes())
    }

    pub fn size(&self) -> Size {
        let size = terminal_size().map(|(width, height)| (width.0.into(), height.0.into()));
        // A terminal that does not know has 0, or none.
        let (width, height) = size.filter(|(w, h)| *w > 0 && *h > 0).unwrap_or((80, 24));
        Size { width, height }
    }

    /// Over what is there, so that nothing flickers.
    pub fn draw(&self, lines: &[Line]) -> Outcome {
        let mut text = String::from("\x1b[H");
        for (index, Line { text: line, inverse }) in lines.iter().enumerate() {
            if index > 0 {
                text += "\r\n";
            }
            match inverse {
                // Cleared with it, the whole line is inverse.
                true => text += &format!("{INVERSE}\x1b[K{line}{PLAIN}"),
                false => text += &format!("\x1b[K{line}"),
            }
        }
        write((text + "\x1b[J").as_bytes())
    }

    pub async fn keys(&mut self) -> Outcome<Vec<Key>> {
        // Hung up: nobody is there to look at it.
        self.keys.recv().await.ok_or(Failure::Unread)
    }

    /// Until the shell lets it go on.
    pub fn suspend(&self) -> Outcome {
        leave();
        raise(Signal::SIGTSTP).map_err(Failure::ours)?;
        self.take()
    }
}

/// On a thread of its own, which ends with the process: only a read that blocks is fair to the
/// shell, whose terminal this is, too.
fn listen(mut keyboard: File) -> mpsc::Receiver<Vec<Key>> {
    let (sender, receiver) = mpsc::channel(KEYS_WAITING_MAX);
    std::thread::spawn(move || {
        let mut bytes = [0; 256];
        loop {
            match keyboard.read(&mut bytes) {
                Ok(length) if length > 0 => {
                    if sender.blocking_send(keys::read(&bytes[..length])).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    });
    receiver
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Once, however often it is called. Nobody can be told that it did not work.
fn leave() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((tty, before)) = before {
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(LEAVE.as_bytes()).and_then(|()| stdout.flush());
        let _ = termios::tcsetattr(&tty, SetArg::TCSADRAIN, &before);
    }
}
