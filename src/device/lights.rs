//! The lights of a board: which scene looks how, and a thread that blinks.
//!
//! All lights show the same. The thread sleeps until the next change of a blinking light, or without end while it is
//! steady. A light that does not work is logged once and tried again with the next scene; it never stops the speaker.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tonearm_core::light::Scene;
use tonearm_core::limits::FLASH;

use super::board::LightSetup;
use super::lamp::Lamp;

/// On or off, and for how long.
struct Step {
    on: bool,
    ms: u32,
}

/// What a scene looks like, over and over.
///
/// Steady light means all is well: the ear tells ready from playing. Whatever blinks wants patience or attention.
fn steps(scene: Scene) -> &'static [Step] {
    const fn on(ms: u32) -> Step {
        Step { on: true, ms }
    }
    const fn off(ms: u32) -> Step {
        Step { on: false, ms }
    }
    const STEADY: u32 = u32::MAX;
    match scene {
        Scene::Ready | Scene::Playing => &const { [on(STEADY)] },
        Scene::Paused => &const { [on(1000), off(1000)] },
        Scene::Buffering => &const { [on(125), off(125)] },
        Scene::Offline => &const { [on(80), off(160), on(80), off(1680)] },
        Scene::Linking => &const { [on(900), off(100)] },
        Scene::Problem => &const { [on(250), off(250)] },
        Scene::Refused => &const { [off(60), on(60)] },
        Scene::Leaving => &const { [off(STEADY)] },
    }
}

/// Whether the light is on `elapsed` after the scene began, and how long that lasts (`None`: for ever).
fn look(scene: Scene, elapsed: Duration) -> (bool, Option<Duration>) {
    let steps = steps(scene);
    if let [steady] = steps {
        return (steady.on, None);
    }
    let round = steps.iter().map(|step| u64::from(step.ms)).sum::<u64>().max(1);
    let at = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX) % round;
    let mut end = 0;
    for step in steps {
        end += u64::from(step.ms);
        if at < end {
            return (step.on, Some(Duration::from_millis(end - at)));
        }
    }
    (false, Some(Duration::from_millis(round)))
}

/// What is to be shown. A refusal shows over the scene before it and gives way to it.
struct Stage {
    scene: Scene,
    refused: bool,
    since: Instant,
    changes: u64,
    close: bool,
}

impl Stage {
    fn new(now: Instant) -> Self {
        Self {
            scene: Scene::Ready,
            refused: false,
            since: now,
            changes: 0,
            close: false,
        }
    }

    fn show(&mut self, scene: Scene, now: Instant) {
        if scene == Scene::Refused {
            self.refused = true;
        } else {
            self.refused = false;
            self.scene = scene;
        }
        self.since = now;
        self.changes += 1;
    }

    /// On or off at `now`, and when to look again.
    fn look(&mut self, now: Instant) -> (bool, Option<Duration>) {
        let flash = Duration::from_millis(FLASH.0.into());
        let mut elapsed = now.saturating_duration_since(self.since);
        if self.refused && elapsed >= flash {
            self.refused = false;
            self.since = now;
            elapsed = Duration::ZERO;
        }
        if self.refused {
            let (on, again) = look(Scene::Refused, elapsed);
            return (on, Some(again.unwrap_or(flash).min(flash.saturating_sub(elapsed))));
        }
        look(self.scene, elapsed)
    }
}

/// The lights of a board, until they are dropped; then they are off.
pub struct Lights {
    stage: Arc<(Mutex<Stage>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Lights {
    /// Starts to show [`Scene::Ready`] on all lights of the board. Without lights it does nothing at all.
    pub fn start(setups: &[LightSetup]) -> Self {
        let lamps: Vec<_> = setups.iter().cloned().map(Lamp::new).collect();
        let stage = Arc::new((Mutex::new(Stage::new(Instant::now())), Condvar::new()));
        let thread = if lamps.is_empty() {
            None
        } else {
            spawn(lamps, Arc::clone(&stage))
        };
        Self { stage, thread }
    }

    /// Shows `scene` from now on. Does not wait for the lights.
    pub fn show(&self, scene: Scene) {
        lock(&self.stage.0).show(scene, Instant::now());
        self.stage.1.notify_one();
    }
}

impl Drop for Lights {
    fn drop(&mut self) {
        lock(&self.stage.0).close = true;
        self.stage.1.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A panic elsewhere while the lock was held leaves a stage that is still good to show.
fn lock(stage: &Mutex<Stage>) -> MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(mut lamps: Vec<Lamp>, stage: Arc<(Mutex<Stage>, Condvar)>) -> Option<JoinHandle<()>> {
    let blink = move || {
        let mut seen = 0;
        loop {
            let (on, again, changes, close) = {
                let mut stage = lock(&stage.0);
                let (on, again) = stage.look(Instant::now());
                (on, again, stage.changes, stage.close)
            };
            // Outside the lock: a lamp on a slow bus must not hold up whoever shows the next scene.
            for lamp in &mut lamps {
                lamp.set(on && !close, changes != seen);
            }
            seen = changes;
            if close {
                return;
            }
            let guard = lock(&stage.0);
            if guard.changes != seen || guard.close {
                continue;
            }
            match again {
                Some(again) => drop(stage.1.wait_timeout(guard, again)),
                None => drop(stage.1.wait(guard)),
            }
        }
    };
    let thread = thread::Builder::new().name("lights".to_owned()).spawn(blink);
    thread
        .map_err(|error| log::error!("start the lights: {error}; the speaker plays on without them"))
        .ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SCENES: [Scene; 9] = [
        Scene::Ready,
        Scene::Buffering,
        Scene::Playing,
        Scene::Paused,
        Scene::Offline,
        Scene::Linking,
        Scene::Problem,
        Scene::Refused,
        Scene::Leaving,
    ];

    #[test]
    fn a_blinking_scene_shows_both_on_and_off() {
        for scene in SCENES
            .into_iter()
            .filter(|scene| look(*scene, Duration::ZERO).1.is_some())
        {
            let mut seen = [false; 2];
            let mut at = Duration::ZERO;
            for _ in 0..8 {
                let (on, again) = look(scene, at);
                seen[usize::from(on)] = true;
                at += again.unwrap();
            }
            assert_eq!(seen, [true; 2], "{scene:?}");
        }
    }

    #[test]
    fn no_light_changes_faster_than_an_eye_or_a_processor_likes() {
        for scene in SCENES {
            assert!(steps(scene).iter().all(|step| step.ms >= 50), "{scene:?}");
        }
    }

    #[test]
    fn an_idle_speaker_does_not_wake_for_its_light() {
        assert_eq!(look(Scene::Ready, Duration::from_secs(9)), (true, None));
        assert_eq!(look(Scene::Playing, Duration::from_secs(9)), (true, None));
    }

    #[test]
    fn a_pause_blinks_slowly() {
        assert_eq!(
            look(Scene::Paused, Duration::ZERO),
            (true, Some(Duration::from_secs(1)))
        );
        assert_eq!(
            look(Scene::Paused, Duration::from_millis(1300)),
            (false, Some(Duration::from_millis(700)))
        );
        assert_eq!(
            look(Scene::Paused, Duration::from_secs(2)),
            (true, Some(Duration::from_secs(1)))
        );
    }

    #[test]
    fn a_refusal_flashes_and_gives_way_to_the_scene_before() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut stage = Stage::new(start);
        stage.show(Scene::Playing, at(0));
        stage.show(Scene::Refused, at(1000));
        assert!(!stage.look(at(1000)).0, "off first: the light was on");
        assert!(stage.look(at(1399)).1.unwrap() <= Duration::from_millis(1));
        assert_eq!(stage.look(at(1400)), (true, None));
    }

    #[test]
    fn a_new_scene_ends_a_refusal_at_once() {
        let start = Instant::now();
        let mut stage = Stage::new(start);
        stage.show(Scene::Refused, start);
        stage.show(Scene::Leaving, start);
        assert_eq!(stage.look(start), (false, None));
    }

    fn led(folder: &Path) -> LightSetup {
        std::fs::write(folder.join("max_brightness"), "255\n").unwrap();
        std::fs::write(folder.join("brightness"), "7\n").unwrap();
        std::fs::write(folder.join("trigger"), "none [mmc0]\n").unwrap();
        LightSetup::Led(folder.to_owned())
    }

    #[test]
    fn closing_turns_the_light_off() {
        let folder = tempfile::tempdir().unwrap();
        let lights = Lights::start(&[led(folder.path())]);
        lights.show(Scene::Buffering);
        drop(lights);
        assert_eq!(std::fs::read_to_string(folder.path().join("brightness")).unwrap(), "0");
    }

    #[test]
    fn a_board_without_lights_has_no_thread() {
        let lights = Lights::start(&[]);
        lights.show(Scene::Problem);
        assert!(lights.thread.is_none());
    }
}
