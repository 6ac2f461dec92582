//! The card of `tests/alsa/` for a test or a measurement: built once, named in a configuration of ALSA, its log and what
//! it heard read back. It knows nothing of the speaker.
#![allow(dead_code, reason = "each crate that includes it uses a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/alsa/pcm_tonearm_sink.c");
/// What it is called in a board file.
pub const NAME: &str = "sink";

/// One card, whose files are in the folder of a test.
pub struct Sink {
    out: PathBuf,
    parameters: String,
}

/// One line of its log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Nanoseconds of the monotonic clock.
    pub at_ns: u64,
    /// What happened: `START`.
    pub what: String,
    words: Vec<String>,
}

impl Line {
    /// The value of `name=value`.
    pub fn text(&self, name: &str) -> &str {
        let start = format!("{name}=");
        let found = self.words.iter().find_map(|word| word.strip_prefix(&start));
        found.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// The same as a number.
    pub fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap()
    }
}

impl Sink {
    /// A card that writes to `folder`. `parameters` as in `tests/alsa/README.md`: `rates "48000" faults "xrun@2000"`.
    pub fn new(folder: &Path, parameters: &str) -> Self {
        Self {
            out: folder.join("sink"),
            parameters: parameters.to_owned(),
        }
    }

    /// What `ALSA_CONFIG_PATH` must name: this card as `sink` and as every `hw:CARD=…`, and nothing else.
    pub fn definitions(&self) -> String {
        let (library, out, parameters) = (library().display(), self.out.display(), &self.parameters);
        let card = format!("type tonearm_sink out \"{out}\" {parameters}");
        format!(
            "pcm_type.tonearm_sink {{ lib \"{library}\" }}\n\
             pcm.{NAME} {{ {card} }}\n\
             pcm.hw {{ @args [ CARD ] @args.CARD {{ type string }} {card} }}\n\
             pcm.plughw {{ @args [ CARD ] @args.CARD {{ type string }} type plug slave.pcm \"{NAME}\" }}\n"
        )
    }

    /// The bytes that were heard.
    pub fn heard(&self) -> Vec<u8> {
        fs::read(self.out.with_extension("raw")).unwrap_or_default()
    }

    /// What happened, in order.
    pub fn log(&self) -> Vec<Line> {
        let text = fs::read_to_string(self.out.with_extension("log")).unwrap_or_default();
        // A line that is just being written is read the next time.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let line = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Line {
                at_ns: words.next().unwrap().parse().unwrap(),
                what: words.next().unwrap(),
                words: words.collect(),
            }
        };
        whole.lines().map(line).collect()
    }

    /// The lines that say `what`.
    pub fn lines(&self, what: &str) -> Vec<Line> {
        self.log().into_iter().filter(|line| line.what == what).collect()
    }
}

/// Little-endian samples of a format in the upper bits of 32.
pub fn samples(bytes: &[u8], format: &str) -> Vec<i32> {
    let place = |bytes: &[u8]| match *bytes {
        [low, high] => i32::from_le_bytes([0, 0, low, high]),
        [low, middle, high] => i32::from_le_bytes([0, low, middle, high]),
        [first, second, third, fourth] => i32::from_le_bytes([first, second, third, fourth]),
        _ => unreachable!(),
    };
    match format {
        "S16_LE" => bytes.chunks_exact(2).map(place).collect(),
        "S24_3LE" => bytes.chunks_exact(3).map(place).collect(),
        "S24_LE" => bytes.chunks_exact(4).map(|bytes| place(bytes) << 8).collect(),
        "S32_LE" => bytes.chunks_exact(4).map(place).collect(),
        other => panic!("format {other}"),
    }
}

/// Builds the plugin, once for this state of its source.
///
/// # Panics
/// Without a C compiler or libasound's headers, which `scripts/setup.sh` installs.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let built = folder.join("libasound_module_pcm_tonearm_sink.so");
        let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
        let is_current = modified(&built).is_ok_and(|built| built >= modified(Path::new(SOURCE)).unwrap());
        if !is_current {
            // Tests of other processes may build it as well: each for itself, and the last one stays.
            let own = folder.join(format!("sink-{}.so", std::process::id()));
            let built_by_cc = Command::new("cc")
                .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
                .arg(&own)
                .args([SOURCE, "-lasound"])
                .output();
            let hint = "the card of the tests needs a C compiler and libasound2-dev: scripts/setup.sh installs them";
            let output = built_by_cc.unwrap_or_else(|error| panic!("run cc: {error}; {hint}"));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}\n{hint}");
            fs::rename(own, &built).unwrap();
        }
        built
    })
}
