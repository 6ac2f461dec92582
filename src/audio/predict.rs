//! How a sound would go on: linear prediction from the samples that are known. It must not know whose sound it is, nor
//! why it is wanted.

/// Samples that the next one is predicted from: two for each of the notes that stand out, and as many again.
const ORDER: usize = 64;

/// `count` samples behind `known`: by linear prediction, driven by what the prediction of the known ones left over. The
/// predictor cannot run away.
pub fn predicted(known: &[f64], count: usize) -> Vec<f64> {
    let (weights, left_over) = burg(known);
    // What the known samples do all of a sudden is not to be heard again.
    let total: f64 = left_over.iter().map(|sample| sample.abs()).sum();
    let usual = 2.0 * total / length(left_over.len().max(1));
    let drive = left_over.iter().rev().map(|sample| sample.clamp(-usual, usual));
    let mut all = known.to_vec();
    for drive in drive.chain(std::iter::repeat(0.0)).take(count) {
        let past = all.iter().rev().zip(&weights);
        let next: f64 = past.map(|(sample, weight)| sample * weight).sum();
        all.push(next + drive);
    }
    all.split_off(known.len())
}

/// Weights that predict a sample from those before it, the latest first, by Burg's method; and what they leave over.
fn burg(known: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut forward = known.to_vec();
    let mut backward = known.to_vec();
    let mut weights: Vec<f64> = Vec::with_capacity(ORDER);
    for order in 1..=ORDER.min(known.len() / 3) {
        let ahead = forward.get(order..).unwrap_or_default();
        let behind = backward.get(order - 1..).unwrap_or_default();
        let (both, power) = ahead.iter().zip(behind).fold((0.0, 0.0), |(both, power), (a, b)| {
            (a.mul_add(*b, both), a.mul_add(*a, b.mul_add(*b, power)))
        });
        if power < f64::from(u8::MAX) {
            break;
        }
        let reflection: f64 = 2.0 * both / power;
        let turned: Vec<f64> = weights.iter().rev().copied().collect();
        for (weight, turned) in weights.iter_mut().zip(turned) {
            *weight -= reflection * turned;
        }
        weights.push(reflection);
        // Each error of the backward prediction meets the forward one a sample later.
        let mut before = backward.get(order - 1).copied().unwrap_or(0.0);
        let pairs = forward.iter_mut().zip(backward.iter_mut()).skip(order);
        for (ahead, behind) in pairs {
            let (a, b) = (*ahead, before);
            before = *behind;
            *ahead = a - reflection * b;
            *behind = b - reflection * a;
        }
    }
    let left_over = forward.split_off(weights.len().min(forward.len()));
    (weights, left_over)
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand samples")]
fn length(samples: usize) -> f64 {
    samples as f64
}
