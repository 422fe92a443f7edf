//! Entering and leaving the terminal, the panic hook, and the watch for a line that is gone.

use std::{
    io::{self, BufWriter, IsTerminal, Stdout},
    panic,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, execute, style,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use rustix::event::{PollFd, PollFlags, poll};
use tokio_util::sync::CancellationToken;

/// Room for one whole frame, so that it is written at once.
const FRAME_BUFFER: usize = 64 * 1024;

/// Whether the terminal is ours now.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal of the process.
pub type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// Whether input and output are a terminal.
#[must_use]
pub fn is_present() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Takes the terminal: raw mode, alternate screen, hidden cursor. The guard gives it back.
///
/// # Errors
/// When it is none or is gone.
pub fn enter() -> io::Result<(Screen, Guard)> {
    // Without colours the theme takes care of it; crossterm's own way writes a reset into every cell.
    style::force_color_output(true);
    enable_raw_mode()?;
    ENTERED.store(true, Ordering::SeqCst);
    let guard = Guard;
    execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
    let output = BufWriter::with_capacity(FRAME_BUFFER, io::stdout());
    Ok((Terminal::new(CrosstermBackend::new(output))?, guard))
}

/// Gives the terminal back. May be called any number of times.
pub fn leave() {
    if ENTERED.swap(false, Ordering::SeqCst) {
        // There is nobody to tell when the terminal is gone.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

/// Gives the terminal back when dropped.
#[derive(Debug)]
pub struct Guard;

impl Guard {
    /// Lets go of a terminal that is gone, without touching it.
    pub fn forget(self) {
        ENTERED.store(false, Ordering::SeqCst);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

/// Lets a panic of the calling thread give the terminal back before it is printed. A panic of any other thread is logged
/// and leaves the screen alone: it ends a run, not the console.
pub fn install_panic_hook() {
    let ours = thread::current().id();
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == ours || !ENTERED.load(Ordering::SeqCst) {
            leave();
            default(info);
        } else {
            tracing::error!("defect in greenroom: {info}");
        }
    }));
}

/// Watches for the terminal's end from a thread that sleeps until then, and cancels `hang_up`.
///
/// Reading the input would not tell: with SIGHUP handled, it spins on a terminal that is gone.
pub fn watch_hang_up(hang_up: CancellationToken) {
    // Without the thread SIGHUP still tells of most lines that drop.
    drop(thread::Builder::new().name("hang-up".to_owned()).spawn(move || {
        let input = io::stdin();
        loop {
            let mut descriptors = [PollFd::new(&input, PollFlags::empty())];
            match poll(&mut descriptors, None) {
                Ok(_) if descriptors[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
                    break;
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
        hang_up.cancel();
    }));
}
