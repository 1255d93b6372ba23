//! The gradient between how long answers take now and how long they have taken for long.

use super::algorithm::{End, Sample, whole};
use super::config::Gradient2Config;

/// How many samples count alike at the beginning, before the long average is an exponential one.
const WARM_UP: u32 = 10;

/// The steepest that the limit may fall, per sample and before smoothing.
const STEEPEST: f64 = 0.5;

/// `Gradient2Limit` of Netflix's concurrency-limits, but for drops, which that one does not see: they are the steepest
/// gradient, without room for a queue, and their time is not measured.
#[derive(Debug)]
pub(super) struct Gradient2 {
    config: Gradient2Config,
    limit: f64,
    long: LongAverage,
}

/// The average of the last so many times, in seconds.
#[derive(Debug)]
struct LongAverage {
    value: f64,
    sum: f64,
    warm_up: u32,
    factor: f64,
}

impl Gradient2 {
    pub(super) fn new(config: &Gradient2Config) -> Self {
        Self {
            limit: f64::from(config.initial.get()),
            long: LongAverage::new(config.long_window.get()),
            config: config.clone(),
        }
    }

    pub(super) fn limit(&self) -> u32 {
        whole(self.limit)
    }

    pub(super) fn update(&mut self, sample: Sample) -> u32 {
        let target = match sample.end {
            End::Dropped => Some(self.limit * STEEPEST),
            End::Answered => self.target(sample),
        };
        if let Some(target) = target {
            let smoothing = self.config.smoothing;
            let limit = (1.0 - smoothing) * self.limit + smoothing * target;
            self.limit = limit.clamp(f64::from(self.config.min.get()), f64::from(self.config.max.get()));
        }
        self.limit()
    }

    /// `None`: the limit stays.
    fn target(&mut self, sample: Sample) -> Option<f64> {
        // A time of zero would divide by itself.
        let short = sample.rtt.as_secs_f64().max(1e-9);
        let long = self.long.add(short);
        if long / short > 2.0 {
            // The load is over: the average needs not all of its window to say so.
            self.long.value *= 0.95;
        }
        // More places would show nothing: those that there are stand empty.
        if f64::from(sample.in_flight) < self.limit / 2.0 {
            return None;
        }
        let gradient = (self.config.tolerance * long / short).clamp(STEEPEST, 1.0);
        Some(gradient * self.limit + f64::from(self.config.queue))
    }
}

impl LongAverage {
    fn new(window: u32) -> Self {
        Self { value: 0.0, sum: 0.0, warm_up: 0, factor: 2.0 / (f64::from(window) + 1.0) }
    }

    fn add(&mut self, sample: f64) -> f64 {
        if self.warm_up < WARM_UP {
            self.warm_up += 1;
            self.sum += sample;
            self.value = self.sum / f64::from(self.warm_up);
        } else {
            self.value = self.value * (1.0 - self.factor) + sample * self.factor;
        }
        self.value
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::algorithm::{End, Sample};
    use super::super::config::Gradient2Config;
    use super::super::simulation::samples;
    use super::Gradient2;

    fn sample(millis: u64, in_flight: u32) -> Sample {
        Sample { rtt: Duration::from_millis(millis), in_flight, end: End::Answered }
    }

    #[test]
    fn it_grows_by_its_queue_while_answers_are_as_quick_as_ever_and_falls_when_they_are_not() {
        let min = NonZeroU32::MIN;
        let mut gradient2 = Gradient2::new(&Gradient2Config { min, ..Gradient2Config::default() });
        assert_eq!(gradient2.update(sample(100, 9)), 20, "less than half is in use");
        assert_eq!(gradient2.update(sample(100, 10)), 20, "20.8");
        assert_eq!(gradient2.update(sample(100, 20)), 21, "21.6");
        // An average of 125 ms, times 1.5, is nearly as long as 200 ms: 21.6 * 0.9375 + 4, of which a fifth.
        assert_eq!(gradient2.update(sample(200, 21)), 22, "22.13");
        for _ in 0..3 {
            gradient2.update(sample(2000, 22));
        }
        assert!(gradient2.limit() < 20, "{}", gradient2.limit());
        let before = gradient2.limit;
        gradient2.update(Sample { end: End::Dropped, ..sample(1, 1) });
        assert!((gradient2.limit - 0.9 * before).abs() < 1e-9, "a drop takes a tenth");
    }

    proptest! {
        #[test]
        fn it_is_what_the_formula_says(samples in samples()) {
            let mut gradient2 = Gradient2::new(&Gradient2Config::default());
            let (mut limit, mut long, mut seen) = (20.0_f64, 0.0, Vec::new());
            for sample in samples {
                let short = sample.rtt.as_secs_f64();
                let mut next = limit;
                if sample.end == End::Dropped {
                    next = 0.8 * limit + 0.2 * (0.5 * limit);
                } else {
                    seen.push(short);
                    long = match seen.len() {
                        count @ 1..=10 => seen.iter().sum::<f64>() / f64::from(u32::try_from(count).unwrap()),
                        _ => long * (1.0 - 2.0 / 601.0) + short * (2.0 / 601.0),
                    };
                    if f64::from(sample.in_flight) >= limit / 2.0 {
                        let gradient = (1.5 * long / short).clamp(0.5, 1.0);
                        next = 0.8 * limit + 0.2 * (gradient * limit + 4.0);
                    }
                    if long / short > 2.0 {
                        long *= 0.95;
                    }
                }
                limit = next.clamp(20.0, 200.0);
                gradient2.update(sample);
                prop_assert!((gradient2.limit - limit).abs() < 1e-6, "{} and {limit}", gradient2.limit);
            }
        }
    }
}
