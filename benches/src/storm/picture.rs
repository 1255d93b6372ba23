//! The picture of a storm: what was asked, what was sent, what came of it, and the circuit's state, over one axis of time.

use std::fmt::Write as _;

/// What happened in one step of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Step {
    /// Calls that the clients made.
    pub(super) calls: u32,
    /// Attempts that reached the provider.
    pub(super) attempts: u32,
    /// Calls that succeeded.
    pub(super) succeeded: u32,
    /// The circuit at the end of the step.
    pub(super) circuit: Circuit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Circuit {
    #[default]
    Closed,
    HalfOpen,
    Open,
}

/// Two storms under the same axes, one below the other.
pub(super) struct Panel<'a> {
    pub(super) title: &'a str,
    pub(super) steps: &'a [Step],
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 56.0;
const PLOT_HEIGHT: f64 = 150.0;
const PANEL_HEIGHT: f64 = 232.0;

/// An SVG of the panels. `step` is a step's length in seconds, `storm` when the provider failed, in seconds.
pub(super) fn draw(panels: &[Panel<'_>], step: f64, storm: (f64, f64)) -> String {
    let most = panels.iter().flat_map(|panel| panel.steps).map(|step| step.calls.max(step.attempts)).max();
    let most = f64::from(most.unwrap_or(1).max(1)) / step;
    let height = f64::from(u32::try_from(panels.len()).unwrap_or(1)) * PANEL_HEIGHT + 40.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full} {height}" font-family="sans-serif" font-size="12">
<rect width="{full}" height="{height}" fill="#fff"/>
"##,
        full = LEFT + WIDTH + 24.0,
    );
    for (at, panel) in (0_u32..).zip(panels) {
        let top = 24.0 + f64::from(at) * PANEL_HEIGHT;
        panel_of(&mut svg, panel, &Axes { top, most, step, storm });
    }
    let legend =
        [("#9aa5b1", "calls"), ("#c2410c", "attempts at the provider"), ("#15803d", "calls that succeeded")];
    for (at, (colour, name)) in (0_u32..).zip(legend) {
        let x = LEFT + f64::from(at) * 280.0;
        let y = height - 16.0;
        line(
            &mut svg,
            format_args!(
                r#"<rect x="{x}" y="{}" width="18" height="4" fill="{colour}"/><text x="{}" y="{y}">{name}, per second</text>"#,
                y - 6.0,
                x + 24.0
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

struct Axes {
    top: f64,
    most: f64,
    step: f64,
    storm: (f64, f64),
}

fn panel_of(svg: &mut String, panel: &Panel<'_>, axes: &Axes) {
    let Axes { top, most, step, storm } = *axes;
    let seconds = f64::from(u32::try_from(panel.steps.len()).unwrap_or(u32::MAX)) * step;
    let x = |second: f64| LEFT + second / seconds * WIDTH;
    let y = |rate: f64| top + PLOT_HEIGHT - rate / most * PLOT_HEIGHT;
    line(
        svg,
        format_args!(r#"<text x="{LEFT}" y="{}" font-weight="bold">{}</text>"#, top - 6.0, panel.title),
    );
    line(
        svg,
        format_args!(
            r##"<rect x="{:.1}" y="{top}" width="{:.1}" height="{PLOT_HEIGHT}" fill="#fef3c7"/><text x="{:.1}" y="{}" fill="#92400e">the provider fails half of its calls</text>"##,
            x(storm.0),
            x(storm.1) - x(storm.0),
            x(storm.0) + 4.0,
            top + PLOT_HEIGHT - 14.0
        ),
    );
    for part in 0..=2 {
        let rate = most * f64::from(part) / 2.0;
        line(
            svg,
            format_args!(
                r##"<line x1="{LEFT}" x2="{}" y1="{:.1}" y2="{:.1}" stroke="#e5e7eb"/><text x="{}" y="{:.1}" text-anchor="end">{rate:.0}</text>"##,
                LEFT + WIDTH,
                y(rate),
                y(rate),
                LEFT - 6.0,
                y(rate) + 4.0
            ),
        );
    }
    let calls: fn(&Step) -> u32 = |step| step.calls;
    for (colour, count) in
        [("#9aa5b1", calls), ("#c2410c", |step| step.attempts), ("#15803d", |step| step.succeeded)]
    {
        let mut points = String::new();
        for (at, one) in (0_u32..).zip(panel.steps) {
            let second = (f64::from(at) + 0.5) * step;
            line(&mut points, format_args!("{:.1},{:.1} ", x(second), y(f64::from(count(one)) / step)));
        }
        line(
            svg,
            format_args!(
                r#"<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{}"/>"#,
                points.trim_end()
            ),
        );
    }
    circuit_of(svg, panel.steps, step, top + PLOT_HEIGHT + 8.0, &x);
    let mut second = 0.0;
    while second <= seconds {
        line(
            svg,
            format_args!(
                r#"<text x="{:.1}" y="{}" text-anchor="middle">{second:.0} s</text>"#,
                x(second),
                top + PLOT_HEIGHT + 38.0
            ),
        );
        second += 10.0;
    }
}

/// The circuit's states as a band: one piece for as long as it stays the same.
fn circuit_of(svg: &mut String, steps: &[Step], step: f64, top: f64, x: &impl Fn(f64) -> f64) {
    let mut from = 0;
    while from < steps.len() {
        let circuit = steps[from].circuit;
        let length = steps[from..].iter().take_while(|step| step.circuit == circuit).count();
        let seconds = |steps: usize| f64::from(u32::try_from(steps).unwrap_or(u32::MAX)) * step;
        let (left, right) = (x(seconds(from)), x(seconds(from + length)));
        let (colour, name) = match circuit {
            Circuit::Closed => ("#bbf7d0", "closed"),
            Circuit::HalfOpen => ("#fde68a", "half-open"),
            Circuit::Open => ("#fecaca", "open"),
        };
        line(
            svg,
            format_args!(
                r#"<rect x="{left:.1}" y="{top}" width="{:.1}" height="14" fill="{colour}"/>"#,
                right - left
            ),
        );
        if right - left > 48.0 {
            line(
                svg,
                format_args!(
                    r#"<text x="{:.1}" y="{}" font-size="11">{name}</text>"#,
                    left + 4.0,
                    top + 11.0
                ),
            );
        }
        from += length;
    }
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("writing to a string does not fail");
    svg.push('\n');
}
