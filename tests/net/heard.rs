//! What a card heard, compared with what was to be heard: every frame once and in order, with silences in between.

/// Frames of silence that count as one. Music made of noise has no two frames of zeros together.
const SILENCE_FRAMES_MIN: usize = 2;

/// The silences within the music: after which frame of it, and how many frames long.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Silences(pub Vec<(usize, usize)>);

/// Compares stereo frames. The silence before and behind the music does not count.
///
/// # Errors
/// A frame is missing, was heard twice, or is another one: where, in words.
pub fn compare(heard: &[i16], music: &[i16]) -> Result<Silences, String> {
    let frames: Vec<&[i16]> = heard.chunks_exact(2).collect();
    let is_silent = |frame: &&[i16]| *frame == [0, 0];
    let mut silences = Silences::default();
    let mut at = frames.iter().take_while(|frame| is_silent(frame)).count();
    for (number, expected) in music.chunks_exact(2).enumerate() {
        if frames.get(at).is_none_or(|frame| *frame != expected) {
            let silent = frames[at.min(frames.len())..]
                .iter()
                .take_while(|frame| is_silent(frame))
                .count();
            if silent >= SILENCE_FRAMES_MIN {
                silences.0.push((number, silent));
                at += silent;
            }
        }
        match frames.get(at) {
            Some(frame) if *frame == expected => at += 1,
            Some(frame) => {
                let again = music.chunks_exact(2).position(|one| one == *frame);
                return Err(format!(
                    "frame {number} is {expected:?}, heard was {frame:?}, frame {again:?} of the music"
                ));
            }
            None => return Err(format!("only {number} of {} frames were heard", music.len() / 2)),
        }
    }
    let left = frames[at..].iter().filter(|frame| !is_silent(frame)).count();
    if left > 0 {
        return Err(format!("{left} frames were heard behind the music"));
    }
    Ok(silences)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUSIC: [i16; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn silences_are_measured_and_every_frame_is_found() {
        let heard = [0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6, 7, 8, 0, 0];
        assert_eq!(compare(&heard, &MUSIC), Ok(Silences(vec![(2, 3)])));
        assert_eq!(compare(&MUSIC, &MUSIC), Ok(Silences::default()));
    }

    #[test]
    fn a_frame_too_few_too_many_or_twice_is_noticed() {
        assert!(compare(&[1, 2, 5, 6, 7, 8], &MUSIC).is_err());
        assert!(compare(&[1, 2, 3, 4, 3, 4, 5, 6, 7, 8], &MUSIC).is_err());
        assert!(compare(&[1, 2, 3, 4], &MUSIC).is_err());
        assert!(compare(&[1, 2, 3, 4, 5, 6, 7, 8, 7, 8], &MUSIC).is_err());
        assert!(
            compare(&[1, 2, 0, 0, 0, 0, 5, 6, 7, 8], &MUSIC).is_err(),
            "the silence swallowed a frame"
        );
    }
}
