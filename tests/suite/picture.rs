//! The picture in the README, made from the screen of the real program: `cargo test --test suite -- --ignored picture`.

use std::fmt::Write as _;

use vt100::Color;

use crate::pty::Session;

const COLUMNS: u16 = 110;
const ROWS: u16 = 34;
/// Size of a character cell and place of its base line, in pixels.
const CELL: (f32, f32, f32) = (8.4, 18.0, 13.5);
const MARGIN: f32 = 12.0;
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d8dce4";
/// The sixteen colours of a terminal.
const PALETTE: [&str; 16] = [
    "#2a2e37", "#e5686a", "#7fc06e", "#e0b350", "#6ea4e0", "#c187d8", "#5fc3c9", "#c9ced8", "#5c6370", "#f2868a",
    "#9bd88a", "#f0cb76", "#8fbdf0", "#d5a3e8", "#84dadf", "#ffffff",
];

#[test]
#[ignore = "writes assets/console.svg"]
fn picture_of_the_console() {
    let mut session = Session::sized(&["demo"], &[], COLUMNS, ROWS);
    session.until_shows("no run yet");
    session.press("s");
    session.until_shows("run 1 published 10 entities");
    session.press("s");
    session.until("the middle of the second run", |output| {
        let screen = output.screen.screen().contents();
        screen.contains("run 2 ") && screen.contains(" fetch") && screen.matches(" ready ").count() >= 4
    });
    session.until("a picture", |output| {
        std::fs::write("assets/console.svg", svg(output.screen.screen())).unwrap();
        true
    });
}

fn colour(colour: Color, default: &'static str) -> String {
    match colour {
        Color::Default => default.to_owned(),
        Color::Idx(index) => PALETTE.get(usize::from(index)).copied().unwrap_or(default).to_owned(),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

/// How a cell looks: text and background colour, bold, dim.
#[derive(Clone, PartialEq)]
struct Look(String, String, bool, bool);

impl Look {
    fn of(cell: &vt100::Cell) -> Self {
        let (mut text, mut back) = (colour(cell.fgcolor(), FOREGROUND), colour(cell.bgcolor(), BACKGROUND));
        if cell.inverse() {
            std::mem::swap(&mut text, &mut back);
        }
        Self(text, back, cell.bold(), cell.dim())
    }
}

/// The screen as a picture that needs no font of its own.
fn svg(screen: &vt100::Screen) -> String {
    let (width, height, base) = CELL;
    let (whole_width, whole_height) =
        (f32::from(COLUMNS) * width + 2.0 * MARGIN, f32::from(ROWS) * height + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole_width:.0} {whole_height:.0}\" width=\"{whole_width:.0}\" \
         font-family=\"ui-monospace, 'JetBrains Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for row in 0..ROWS {
        let y = MARGIN + f32::from(row) * height;
        let mut column = 0;
        while column < COLUMNS {
            let Some(first) = screen.cell(row, column) else { break };
            let look = Look::of(first);
            let start = column;
            let mut text = String::new();
            while let Some(cell) = screen.cell(row, column).filter(|cell| Look::of(cell) == look) {
                let symbol = cell.contents();
                text.push_str(if symbol.is_empty() { " " } else { symbol });
                column += 1;
            }
            draw_run(
                &mut out,
                &look,
                &text,
                MARGIN + f32::from(start) * width,
                y,
                f32::from(column - start) * width,
                base,
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

fn draw_run(out: &mut String, look: &Look, text: &str, x: f32, y: f32, length: f32, base: f32) {
    let Look(fore, back, bold, dim) = look;
    if back != BACKGROUND {
        let height = CELL.1;
        writeln!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{height}\" fill=\"{back}\"/>")
            .unwrap();
    }
    let weight = if *bold { " font-weight=\"bold\"" } else { "" };
    let opacity = if *dim { " fill-opacity=\"0.6\"" } else { "" };
    let y = y + base;
    for (column, words) in pieces(text) {
        #[expect(clippy::cast_precision_loss, reason = "columns of a screen")]
        let (x, length) = (x + column as f32 * CELL.0, words.chars().count() as f32 * CELL.0);
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{fore}\"{weight}{opacity} textLength=\"{length:.1}\" \
             lengthAdjust=\"spacingAndGlyphs\">{words}</text>"
        )
        .unwrap();
    }
}

/// The parts of `text` between two or more spaces, with their columns: viewers disagree on what to do with such spaces.
fn pieces(text: &str) -> Vec<(usize, String)> {
    let mut pieces: Vec<(usize, String)> = Vec::new();
    let mut spaces = 2;
    for (column, character) in text.chars().enumerate() {
        match (character, spaces) {
            (' ', _) => spaces += 1,
            (_, 0..2) => {
                if let Some((_, words)) = pieces.last_mut() {
                    words.extend(std::iter::repeat_n(' ', spaces));
                    words.push(character);
                }
                spaces = 0;
            }
            _ => {
                pieces.push((column, character.to_string()));
                spaces = 0;
            }
        }
    }
    pieces
}
