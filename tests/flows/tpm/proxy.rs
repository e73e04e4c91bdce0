//! Between the library and its TPM: passes everything on, and makes go wrong what a test wants to.
//!
//! It knows only the header of commands and responses (tag, u16; size, u32; code, u32), and where a signature is.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

pub const CREATE: u32 = 0x153;
pub const CREATE_PRIMARY: u32 = 0x131;
pub const LOAD: u32 = 0x157;
pub const RSA_DECRYPT: u32 = 0x159;
pub const SIGN: u32 = 0x15d;
pub const CONTEXT_LOAD: u32 = 0x161;
pub const CONTEXT_SAVE: u32 = 0x162;
pub const RETRY: u32 = 0x922;
pub const LOCKOUT: u32 = 0x921;

/// What becomes of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this response code.
    Answer(u32),
    /// The connection is cut.
    Cut,
    /// There is no answer until [`Proxy::heal`]; then there is.
    Stall,
    /// Its result is changed. Of signatures only those with PSS.
    Spoil,
    /// The TPM is reset before it gets the command. Only once.
    Reset,
}

/// A way to a software TPM, with a TCTI of its own.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// The data port of the TPM; the control port is the next one.
    tpm: u16,
    state: Mutex<State>,
    healed: Condvar,
}

#[derive(Default)]
struct State {
    faults: HashMap<u32, Fault>,
    commands: HashMap<u32, usize>,
    /// Commands that are not answered yet, now and at most. (Connections would tell less: tpm2-tss makes one for each
    /// command, and a child that another test starts inherits them.)
    unanswered: usize,
    most_unanswered: usize,
}

const HEADER: usize = 10;
/// In a response with sessions: behind the header, and the length of the result.
const RESULT: usize = HEADER + 4;
const RSA_PSS: [u8; 2] = [0, 0x16];
/// To the control port: turns the power off and on.
const INIT: [u8; 8] = [0, 0, 0, 2, 0, 0, 0, 0];
/// TPM2_Startup and TPM2_Shutdown, TPM_SU_CLEAR.
const STARTUP: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0];
const SHUTDOWN: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0];

impl Proxy {
    /// To the TPM with this data port.
    pub fn start(tpm: u16) -> Self {
        let (data, control) = listeners();
        let port = data.local_addr().unwrap().port();
        let shared = Arc::new(Shared { tpm, state: Mutex::default(), healed: Condvar::new() });
        let served = shared.clone();
        thread::spawn(move || {
            for client in data.incoming().flatten() {
                let served = served.clone();
                // Either side may hang up.
                thread::spawn(move || served.serve(&client));
            }
        });
        thread::spawn(move || {
            for client in control.incoming().flatten() {
                // The TPM may have ended.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, tpm + 1)) else { continue };
                pump(&client, &server);
                pump(&server, &client);
            }
        });
        Self { port, shared }
    }

    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Each such command from now on.
    pub fn fault(&self, command: u32, fault: Fault) {
        self.shared.lock().faults.insert(command, fault);
    }

    pub fn heal(&self) {
        self.shared.lock().faults.clear();
        self.shared.healed.notify_all();
    }

    /// How many such commands there were.
    pub fn count(&self, command: u32) -> usize {
        self.shared.lock().commands.get(&command).copied().unwrap_or_default()
    }

    /// How many commands waited for their answers at the same time, at most.
    pub fn most_at_a_time(&self) -> usize {
        self.shared.lock().most_unanswered
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut tpm = TcpStream::connect((Ipv4Addr::LOCALHOST, self.tpm))?;
        tpm.set_nodelay(true)?;
        loop {
            let command = message(client)?;
            let fault = self.meet(number(&command[6..]));
            let response = self.answer(&command, fault, &mut tpm);
            self.lock().unanswered -= 1;
            client.write_all(&response?)?;
        }
    }

    /// Counts a command. Stalls where it is to.
    fn meet(&self, code: u32) -> Option<Fault> {
        let mut state = self.lock();
        *state.commands.entry(code).or_default() += 1;
        state.unanswered += 1;
        state.most_unanswered = state.most_unanswered.max(state.unanswered);
        if state.faults.get(&code) == Some(&Fault::Reset) {
            return state.faults.remove(&code);
        }
        while state.faults.get(&code) == Some(&Fault::Stall) {
            state = self.healed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.faults.get(&code).copied()
    }

    /// An error cuts the connection.
    fn answer(&self, command: &[u8], fault: Option<Fault>, tpm: &mut TcpStream) -> io::Result<Vec<u8>> {
        match fault {
            Some(Fault::Answer(code)) => {
                return Ok([&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat());
            }
            Some(Fault::Cut) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Fault::Reset) => {
                // Without it the TPM takes the reset for an attempt to hide wrong authorisation values.
                tpm.write_all(&SHUTDOWN)?;
                message(tpm)?;
                let mut control = TcpStream::connect((Ipv4Addr::LOCALHOST, self.tpm + 1))?;
                control.write_all(&INIT)?;
                control.read_exact(&mut [0; 4])?;
                tpm.write_all(&STARTUP)?;
                message(tpm)?;
            }
            Some(Fault::Stall | Fault::Spoil) | None => {}
        }
        tpm.write_all(command)?;
        let mut response = message(tpm)?;
        if fault == Some(Fault::Spoil)
            && response.len() > RESULT
            && (number(&command[6..]) != SIGN || response[RESULT..].starts_with(&RSA_PSS))
        {
            let end = RESULT + number(&response[HEADER..]) as usize;
            response[end - 1] ^= 1;
        }
        Ok(response)
    }
}

/// Two neighbouring ports.
fn listeners() -> (TcpListener, TcpListener) {
    let pair = || {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        let next = first.local_addr().ok()?.port().checked_add(1)?;
        Some((first, TcpListener::bind((Ipv4Addr::LOCALHOST, next)).ok()?))
    };
    (0..100).find_map(|_| pair()).expect("no two neighbouring ports are free")
}

/// One command or response.
fn message(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER];
    stream.read_exact(&mut bytes)?;
    let size = number(&bytes[2..]) as usize;
    bytes.resize(size.max(HEADER), 0);
    stream.read_exact(&mut bytes[HEADER..])?;
    Ok(bytes)
}

/// The one that `bytes` begin with.
fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

fn pump(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
