//! A program on a pseudo-terminal of its own, with the screen that a person would see.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::Duration,
};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use rustix::pty::OpenptFlags;

/// What came from the program.
pub(crate) struct Output {
    pub(crate) screen: vt100::Parser,
    pub(crate) raw: Vec<u8>,
    pub(crate) ended: bool,
}

/// A program on a terminal of its own.
pub(crate) struct Session {
    child: Option<Box<dyn Child + Send + Sync>>,
    master: Box<dyn MasterPty + Send>,
    input: Box<dyn Write + Send>,
    output: Arc<(Mutex<Output>, Condvar)>,
}

impl Session {
    /// Starts the binary with no more than these variables on a terminal of 80 by 24.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::sized(arguments, variables, 80, 24)
    }

    /// The same on a terminal of another size.
    pub(crate) fn sized(arguments: &[&str], variables: &[(&str, &str)], columns: u16, rows: u16) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_greenroom"));
        command.args(arguments);
        command.env_clear();
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let input = pair.master.take_writer().unwrap();
        let (rows, columns) = (NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap());
        let output = Output { screen: vt100::Parser::new(rows, columns, 0), raw: Vec::new(), ended: false };
        let output = Arc::new((Mutex::new(output), Condvar::new()));
        let shared = output.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let read = reader.read(&mut buffer).unwrap_or(0);
                let mut output = shared.0.lock().unwrap();
                output.screen.process(&buffer[..read]);
                output.raw.extend_from_slice(&buffer[..read]);
                output.ended = read == 0;
                shared.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Self { child: Some(child), master: pair.master, input, output }
    }

    /// Types `keys`.
    pub(crate) fn press(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// Presses `keys` again and again until `text` is shown: a question takes no answer in its first moment.
    pub(crate) fn press_until(&mut self, keys: &str, text: &str) {
        for _ in 0..600 {
            self.press(keys);
            let (output, changed) = &*self.output;
            let shows = |output: &mut Output| !output.screen.screen().contents().contains(text);
            let wait = Duration::from_millis(100);
            if !changed.wait_timeout_while(output.lock().unwrap(), wait, shows).unwrap().1.timed_out() {
                return;
            }
        }
        panic!("{text} was never shown");
    }

    /// Waits until `wanted` holds for the output.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&Output) -> bool) {
        let (output, changed) = &*self.output;
        let output = output.lock().unwrap();
        let (output, timeout) =
            changed.wait_timeout_while(output, Duration::from_mins(1), |output| !wanted(output)).unwrap();
        assert!(!timeout.timed_out(), "waited too long for {what}:\n{}", output.screen.screen().contents());
    }

    /// Waits until `text` is on the screen.
    pub(crate) fn until_shows(&self, text: &str) {
        self.until(text, |output| output.screen.screen().contents().contains(text));
    }

    /// All that the program wrote.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.output.0.lock().unwrap().raw.clone()
    }

    /// Waits for the end of the program and of its output.
    pub(crate) fn end(&mut self) -> ExitStatus {
        self.until("the end of the output", |output| output.ended);
        let mut child = self.child.take().unwrap();
        in_time("the end of the program", move || child.wait().unwrap())
    }

    /// Its number.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        let pid = self.child.as_ref().unwrap().process_id().unwrap();
        rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// The modes of the terminal, as text to compare.
    pub(crate) fn modes(&self) -> String {
        let modes = self.master.get_termios().unwrap();
        format!("{:?} {:?} {:?} {:?}", modes.input_flags, modes.output_flags, modes.control_flags, modes.local_flags)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program on a terminal with one single handle on its controlling side, so that closing it is what a dropped line is.
pub(crate) struct Line {
    master: File,
    child: std::process::Child,
    shown: Vec<u8>,
}

impl Line {
    /// Starts the binary with no more than these variables on a terminal of 80 by 24.
    pub(crate) fn open(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_greenroom"))
            .args(arguments)
            .env_clear()
            .env("TERM", "xterm-256color")
            .envs(variables.iter().copied())
            .stdin(slave.try_clone().unwrap())
            .stdout(slave)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { master: File::from(master), child, shown: Vec::new() }
    }

    /// Waits until `text` was written.
    pub(crate) fn until(&mut self, text: &str) {
        while !contains(&self.shown, text) {
            let mut buffer = [0; 4096];
            let read = self.master.read(&mut buffer).unwrap();
            self.shown.extend_from_slice(&buffer[..read]);
        }
    }

    /// Types `keys`.
    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Closes the terminal; the program is on its own then.
    pub(crate) fn drop_line(self) -> std::process::Child {
        self.child
    }
}

/// Does `wait` on another thread and gives up on it after a time that only a defect needs.
pub(crate) fn in_time<T: Send + 'static>(what: &str, wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(wait()));
    receiver.recv_timeout(Duration::from_mins(1)).unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Whether `wanted` is among what was written.
pub(crate) fn contains(raw: &[u8], wanted: &str) -> bool {
    raw.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}
