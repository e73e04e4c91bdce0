//! What was measured: printed as it comes, and kept for the document.

use crate::measure::{Spread, time};

/// All of it, in the order in which it was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) sections: Vec<Section>,
    pub(crate) wanted: Vec<Wanted>,
    /// What was left out, and why.
    pub(crate) skipped: Vec<String>,
}

/// One table, with a word on how its numbers came about.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) plots: Vec<Plot>,
}

/// Min, median and max; or one value, in the middle.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) cells: [String; 3],
}

/// A picture: its file, what it shows, and itself.
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) shows: String,
    pub(crate) svg: String,
}

/// A limit that was set before anything was measured, and what came of it.
pub(crate) struct Wanted {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) measured: String,
    pub(crate) is_met: bool,
}

impl Report {
    pub(crate) fn section(&mut self, title: &str, about: &str) {
        println!("\n{title}\n{:<66} {:>12} {:>12} {:>12}", "", "min", "median", "max");
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        self.sections.push(Section { title: title.into(), about, rows: Vec::new(), plots: Vec::new() });
    }

    /// A row of times.
    pub(crate) fn row(&mut self, name: &str, spread: &Spread) {
        self.cells(name, [spread.min, spread.median, spread.max].map(time));
    }

    /// A row of one value.
    pub(crate) fn value(&mut self, name: &str, value: String) {
        self.cells(name, [String::new(), value, String::new()]);
    }

    pub(crate) fn plot(&mut self, file: &'static str, shows: &str, svg: String) {
        if let Some(section) = self.sections.last_mut() {
            section.plots.push(Plot { file, shows: shows.into(), svg });
        }
    }

    /// A wanted limit beside what was measured: `most` is the largest value that meets it.
    pub(crate) fn at_most(&mut self, what: &str, wanted: &str, most: f64, value: f64, measured: String) {
        self.wanted(what, wanted, measured, value <= most);
    }

    pub(crate) fn wanted(&mut self, what: &str, wanted: &str, measured: String, is_met: bool) {
        println!("  wanted: {what}: {wanted}; measured: {measured}{}", if is_met { "" } else { ": MISSED" });
        self.wanted.push(Wanted { what: what.into(), wanted: wanted.into(), measured, is_met });
    }

    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        println!("  left out: {what}: {why}");
        self.skipped.push(format!("{what}: {why}"));
    }

    fn cells(&mut self, name: &str, cells: [String; 3]) {
        println!("  {name:<64} {:>12} {:>12} {:>12}", cells[0], cells[1], cells[2]);
        if let Some(section) = self.sections.last_mut() {
            section.rows.push(Row { name: name.into(), cells });
        }
    }
}
