//! A table that reads well in a terminal and is Markdown at the same time.

use std::fmt::{self, Display, Formatter};

/// Rows of texts under a head: the first column to the left, the others, which are numbers, to the right.
#[derive(Clone, Debug)]
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(crate) fn new(head: [&str; COLUMNS]) -> Self {
        Self { rows: vec![head.map(str::to_owned)] }
    }

    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }

    fn widths(&self) -> [usize; COLUMNS] {
        let mut widths = [0; COLUMNS];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

impl<const COLUMNS: usize> Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                if column == 0 { write!(f, "| {cell:<width$} |")? } else { write!(f, " {cell:>width$} |")? }
            }
            writeln!(f)?;
            if number == 0 {
                for (column, width) in widths.into_iter().enumerate() {
                    if column == 0 {
                        write!(f, "|{:-<1$}|", "", width + 2)?;
                    } else {
                        write!(f, "{:-<1$}:|", "", width + 1)?;
                    }
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// What `more` has more than `base`, with its sign.
pub(crate) fn difference(more: u64, base: u64) -> String {
    let sign = if more < base { '-' } else { '+' };
    format!("{sign}{}", thousands(more.abs_diff(base)))
}

#[cfg(test)]
mod tests {
    use super::{Table, difference, thousands};

    #[test]
    fn numbers_stand_under_each_other() {
        let mut table = Table::new(["variant", "instructions", "ns"]);
        table.row(["bare".to_owned(), thousands(4_666), thousands(504)]);
        table.row(["größer und länger".to_owned(), thousands(1_067_468), String::new()]);
        insta::assert_snapshot!(table, @r"
        | variant           | instructions |  ns |
        |-------------------|-------------:|----:|
        | bare              |        4,666 | 504 |
        | größer und länger |    1,067,468 |     |
        ");
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1_000, 123_456].map(thousands), ["0", "999", "1,000", "123,456"]);
    }

    #[test]
    fn a_difference_has_its_sign() {
        assert_eq!(difference(5_000, 3_800), "+1,200");
        assert_eq!(difference(7, 7), "+0");
        assert_eq!(difference(3_800, 5_000), "-1,200");
    }
}
