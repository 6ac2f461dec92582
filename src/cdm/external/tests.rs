//! The external module as a process of its own, well and in trouble: what it says is used, and whatever it does ends in a
//! reason, not in the speaker's end.

#[path = "../../../examples/cdm_module.rs"]
mod reference;

use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::keys::{KeyId, Scheme, Subsample};

const SOCKET: &str = "TONEARM_TEST_CDM_SOCKET";
const FAULT: &str = "TONEARM_TEST_CDM_FAULT";
const AT_SAMPLE: &str = "TONEARM_TEST_CDM_SAMPLE";
const ID: KeyId = [0x11; 16];
const KEY: [u8; 16] = [0x22; 16];
/// `ID` and `KEY` in base64url.
const LICENCE: &str = r#"{"keys":[{"kty":"oct","kid":"EREREREREREREREREREREQ","k":"IiIiIiIiIiIiIiIiIiIiIg"}]}"#;

/// Not a test: the module's process. The tests start this very program again with this name.
#[test]
fn the_process_of_the_module() {
    let Some(socket) = std::env::var_os(SOCKET) else {
        return;
    };
    let fault = reference::Fault {
        what: std::env::var(FAULT).unwrap(),
        at_sample: std::env::var(AT_SAMPLE).unwrap().parse().unwrap(),
    };
    reference::serve(Path::new(&socket), &fault).unwrap();
}

/// The module as a process; ends with it.
pub struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    pub fn start(fault: &str, at_sample: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Self::spawn(&folder.path().join("socket"), fault, at_sample);
        Self { child, folder }
    }

    fn spawn(socket: &Path, fault: &str, at_sample: u32) -> Child {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "cdm::external::tests::the_process_of_the_module",
                "--nocapture",
            ])
            .env(SOCKET, socket)
            .env(FAULT, fault)
            .env(AT_SAMPLE, at_sample.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        // Its file is there before it listens.
        while UnixStream::connect(socket).is_err() {
            assert!(Instant::now() < until, "the module starts");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.kill();
        std::fs::remove_file(self.socket()).unwrap();
        self.child = Self::spawn(&self.socket(), "", 0);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn patience() -> Patience {
    Patience {
        hello: Duration::from_secs(5),
        licence: Duration::from_secs(5),
        sample: Duration::from_millis(300),
    }
}

fn external(process: &Process) -> External {
    External::new(process.socket(), patience())
}

fn init() -> Init<'static> {
    Init {
        system: "CLEARKEY",
        scheme: Scheme::Cenc,
        keys: &[ID],
        pssh: &[],
    }
}

fn licensed(module: &External) -> SessionId {
    let (session, challenge) = module.open(&init()).unwrap();
    let request = std::str::from_utf8(challenge.reveal()).unwrap();
    assert_eq!(request, r#"{"kids":["EREREREREREREREREREREQ"],"type":"temporary"}"#);
    let grant = module.update(session, &Secret::new(LICENCE.into())).unwrap();
    assert_eq!((grant.keys.as_slice(), grant.lifetime), (&[ID][..], None));
    session
}

fn encryption(scheme: Scheme, subsamples: &[Subsample]) -> Encryption<'_> {
    Encryption {
        scheme,
        key: ID,
        iv: [5; 16],
        subsamples,
        crypt_blocks: 1,
        skip_blocks: 2,
    }
}

#[test]
fn a_module_in_a_process_of_its_own_decrypts_as_the_built_in_cipher_does() {
    let process = Process::start("", 0);
    let module = external(&process);
    let session = licensed(&module);
    let parts = [
        Subsample {
            clear: 3,
            encrypted: 70,
        },
        Subsample {
            clear: 20,
            encrypted: 7,
        },
    ];
    for scheme in [Scheme::Cenc, Scheme::Cbcs] {
        for subsamples in [&parts[..], &[]] {
            let encryption = encryption(scheme, subsamples);
            let mut here: Vec<u8> = (0..100).collect();
            let mut there = here.clone();
            encryption.undo(&KEY, &mut here).unwrap();
            module.decrypt(session, &encryption, &mut there).unwrap();
            assert_eq!(here, there, "{scheme:?}");
        }
    }
    let misfit = [Subsample { clear: 3, encrypted: 3 }];
    let error = module.decrypt(session, &encryption(Scheme::Cenc, &misfit), &mut [0; 7]);
    assert!(matches!(error, Err(DecryptError::Module(_))), "{error:?}");
    assert!(module.holds(session), "it goes on");
}

#[test]
fn two_threads_ask_at_once_and_each_gets_its_answer() {
    let process = Process::start("slow", 0);
    // The reference module takes a connection's questions in turn: a licence of 300 ms is waited for.
    let patience = Patience {
        sample: Duration::from_secs(5),
        ..patience()
    };
    let module = External::new(process.socket(), patience);
    let session = licensed(&module);
    std::thread::scope(|scope| {
        let licences = scope.spawn(|| {
            for _ in 0..3 {
                licensed(&module);
            }
        });
        let mut byte = 0;
        while !licences.is_finished() {
            let mut sample = [byte; 40];
            let mut wished = sample;
            let encryption = encryption(Scheme::Cenc, &[]);
            encryption.undo(&KEY, &mut wished).unwrap();
            module.decrypt(session, &encryption, &mut sample).unwrap();
            assert_eq!(sample, wished);
            byte = byte.wrapping_add(1);
        }
    });
}

#[test]
fn a_module_that_dies_stalls_or_talks_nonsense_is_lost_and_the_sample_stays_as_it_was() {
    for fault in ["die", "stall", "garble", "shorten", "unknown", "huge"] {
        let process = Process::start(fault, 2);
        let module = external(&process);
        let session = licensed(&module);
        let encryption = encryption(Scheme::Cenc, &[]);
        module.decrypt(session, &encryption, &mut [0; 40]).unwrap();
        let mut sample = [7; 40];
        let error = module.decrypt(session, &encryption, &mut sample);
        assert_eq!((error, sample), (Err(DecryptError::NoKey(ID)), [7; 40]), "{fault}");
        assert!(!module.holds(session), "{fault}");
        let error = module.update(session, &Secret::new(LICENCE.into())).unwrap_err();
        assert!(matches!(error, CdmError::Gone(_)), "{fault}: {error}");
    }
}

#[test]
fn a_key_that_the_module_forgot_is_missing_and_the_module_is_not() {
    let process = Process::start("forget", 1);
    let module = external(&process);
    let session = licensed(&module);
    let error = module.decrypt(session, &encryption(Scheme::Cenc, &[]), &mut [0; 40]);
    assert_eq!(error, Err(DecryptError::NoKey(ID)));
    assert!(module.holds(session));
}

#[test]
fn a_module_that_was_killed_is_used_again_when_it_is_back_with_nothing_of_before() {
    let mut process = Process::start("", 0);
    let module = external(&process);
    let before = licensed(&module);
    process.kill();
    let error = module
        .open(&init())
        .map(|_| ())
        .or_else(|_| module.open(&init()).map(|_| ()));
    assert!(matches!(error, Err(CdmError::Gone(_))), "{error:?}");
    process.restart();
    let after = licensed(&module);
    assert_ne!(before, after);
    assert!(module.holds(after) && !module.holds(before));
    let error = module.decrypt(before, &encryption(Scheme::Cenc, &[]), &mut [0; 40]);
    assert_eq!(error, Err(DecryptError::NoKey(ID)));
}

#[test]
fn a_module_that_does_not_greet_or_speaks_another_version_is_not_used() {
    let deaf = Process::start("deaf", 0);
    let module = External::new(
        deaf.socket(),
        Patience {
            hello: Duration::from_millis(100),
            ..patience()
        },
    );
    let error = module.open(&init()).unwrap_err().to_string();
    assert!(error.contains("does not answer in 100 ms"), "{error}");
    let future = Process::start("future", 0);
    let error = look(&future.socket()).unwrap_err().to_string();
    assert!(error.contains("version 99"), "{error}");
}

#[test]
fn a_module_that_is_not_there_is_named_with_its_socket() {
    let error = look(Path::new("/nowhere/cdm.socket")).unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/cdm.socket") && error.contains("No such file"),
        "{error}"
    );
    let long = PathBuf::from(format!("/{}", "x".repeat(200)));
    assert!(look(&long).is_err());
    let process = Process::start("", 0);
    assert_eq!(look(&process.socket()).unwrap(), "Clear Key, a reference");
}

#[test]
fn a_licence_that_is_none_is_refused_in_the_words_of_the_module() {
    let process = Process::start("", 0);
    let module = external(&process);
    let (session, _) = module.open(&init()).unwrap();
    let error = module.update(session, &Secret::new(b"nonsense".to_vec())).unwrap_err();
    assert!(
        matches!(&error, CdmError::Refused(words) if words.contains("no licence of Clear Key")),
        "{error}"
    );
    module.close(session);
    let error = module.renew(session).unwrap_err();
    assert!(matches!(error, CdmError::Gone(_)), "{error}");
}
