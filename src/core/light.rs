//! What the status light shows. One scene at a time; how a board blinks it is the board's business.

/// State of the speaker as a light can show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scene {
    /// Nothing is open, ready for a press.
    #[default]
    Ready,
    /// Wanted, but not sounding yet (or stalled).
    Buffering,
    /// Sounding.
    Playing,
    /// Paused.
    Paused,
    /// The service cannot be reached. Shown in place of ready, buffering and paused; music that goes on stays `Playing`.
    Offline,
    /// A code waits to be entered. Shown in place of ready, buffering and paused.
    Linking,
    /// Something needs attention.
    Problem,
    /// A press was refused: a short flash over any other scene.
    Refused,
    /// The speaker is leaving.
    Leaving,
}
