//! Pictures in SVG: lines over a few places on an axis, and bars of stacked parts.

use std::fmt::Write as _;

const COLOURS: [&str; 10] = [
    "#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#17becf", "#7f7f7f", "#e377c2",
    "#bcbd22",
];
const WIDTH: f64 = 720.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;

/// A line for each name through its values, one for each place of the axis.
pub(crate) fn lines(
    title: &str,
    axis: &str,
    unit: &str,
    places: &[&str],
    series: &[(&str, Vec<f64>)],
) -> String {
    let (top, bottom) = (48.0, 300.0);
    let legend = bottom + 62.0;
    let mut svg = begin(title, legend + 20.0 * series.len() as f64);
    let most = series.iter().flat_map(|(_, values)| values).fold(0.0_f64, |most, value| most.max(*value));
    let step = step(most);
    let scale = (most / step).ceil().max(1.0) * step;
    let y = |value: f64| bottom - (bottom - top) * value / scale;
    let x = |index: usize| {
        let width = WIDTH - LEFT - RIGHT - 40.0;
        LEFT + 20.0 + width * index as f64 / (places.len() - 1).max(1) as f64
    };
    for n in 0..=(scale / step).round() as usize {
        let (value, y) = (n as f64 * step, y(n as f64 * step));
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" x2="{}" y1="{y:.1}" y2="{y:.1}" stroke="#ddd"/>"##,
            WIDTH - RIGHT
        );
        text(&mut svg, LEFT - 8.0, y + 4.0, "end", &format!("{}", (value * 1000.0).round() / 1000.0));
    }
    for (index, place) in places.iter().enumerate() {
        text(&mut svg, x(index), bottom + 18.0, "middle", place);
    }
    text(&mut svg, (LEFT + WIDTH - RIGHT) / 2.0, bottom + 38.0, "middle", axis);
    text(&mut svg, LEFT - 60.0, top - 8.0, "start", unit);
    for (number, (name, values)) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(index, value)| format!("{:.1},{:.1}", x(index), y(*value)))
            .collect();
        let points = points.join(" ");
        let _ =
            writeln!(svg, r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>"#);
        for point in points.split(' ') {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, r#"<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>"#);
        }
        key(&mut svg, LEFT, legend + 20.0 * number as f64, colour, name);
    }
    svg + "</svg>\n"
}

/// A bar for each name, of its parts one after the other. Each is as long as the others, whatever its sum.
pub(crate) fn stacked(title: &str, unit: &str, bars: &[(&str, Vec<(&str, f64)>)]) -> String {
    let legend = 60.0 + 58.0 * bars.len() as f64;
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in bars.iter().flat_map(|(_, parts)| parts) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let mut svg = begin(title, legend + 20.0 * names.len() as f64);
    let total = |parts: &[(&str, f64)]| parts.iter().map(|(_, value)| value).sum::<f64>();
    for (number, (bar, parts)) in bars.iter().enumerate() {
        let (y, mut x) = (58.0 * number as f64 + 66.0, 24.0);
        text(&mut svg, x, y - 6.0, "start", &format!("{bar}: {:.2} {unit}", total(parts)));
        for (name, value) in parts {
            let colour = COLOURS[names.iter().position(|known| known == name).unwrap_or(0) % COLOURS.len()];
            let width = (WIDTH - 48.0) * value / total(parts).max(f64::MIN_POSITIVE);
            let _ = writeln!(
                svg,
                r#"<rect x="{x:.1}" y="{y}" width="{width:.1}" height="24" fill="{colour}"><title>{name}: {value:.3} {unit}</title></rect>"#
            );
            x += width;
        }
    }
    for (number, name) in names.iter().enumerate() {
        let all = bars.iter().map(|(_, parts)| {
            let value = parts.iter().find(|(part, _)| part == name).map(|(_, value)| *value);
            value.map_or("-".to_owned(), |value| format!("{value:.2}"))
        });
        let all = all.collect::<Vec<_>>().join(" / ");
        let colour = COLOURS[number % COLOURS.len()];
        key(&mut svg, 24.0, legend + 20.0 * number as f64, colour, &format!("{name}: {all} {unit}"));
    }
    svg + "</svg>\n"
}

fn begin(title: &str, height: f64) -> String {
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
<text x="24" y="24" font-size="15" font-weight="bold" fill="#222">{title}</text>
"##
    );
    svg.reserve(4096);
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ =
        writeln!(svg, r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="#444">{text}</text>"##);
}

fn key(svg: &mut String, x: f64, y: f64, colour: &str, name: &str) {
    let _ = writeln!(svg, r#"<rect x="{x}" y="{:.1}" width="12" height="12" fill="{colour}"/>"#, y - 10.0);
    text(svg, x + 18.0, y, "start", name);
}

/// A round number, of which five or so reach up to `most`.
fn step(most: f64) -> f64 {
    let rough = (most / 5.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough).unwrap_or(rough)
}
