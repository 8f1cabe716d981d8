//! What a terminal shows of the bytes that programs write to it: as much of that as our programs use.

/// How wide it is.
pub(super) const COLUMNS: usize = 100;

/// How a character looks: its colour by the number that a terminal has for it, and whether it is bold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) bold: bool,
    pub(super) colour: Option<u8>,
}

/// What a program has written as one line, however many it takes on the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<(char, Look)>);

impl Line {
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(c, _)| c).collect()
    }
}

/// The lines that are there in the end.
pub(super) fn lines(written: &str) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut look = Look::default();
    let mut rest = written.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, lines.last_mut()) {
            ('\n', _) => lines.push(Line::default()),
            ('\r', Some(line)) if rest.peek() != Some(&'\n') => line.0.clear(),
            ('\x1b', _) if rest.next_if_eq(&'[').is_some() => {
                let mut words = String::new();
                let end = loop {
                    match rest.next() {
                        Some(c @ ('0'..='9' | ';')) => words.push(c),
                        end => break end,
                    }
                };
                if end == Some('m') {
                    look = words.split(';').fold(look, changed);
                }
            }
            (c, Some(line)) if !c.is_control() => line.0.push((c, look)),
            _ => {}
        }
    }
    if lines.last().is_some_and(|line| line.0.is_empty()) {
        lines.pop();
    }
    lines
}

fn changed(look: Look, word: &str) -> Look {
    match word.parse() {
        Ok(0) | Err(_) => Look::default(),
        Ok(1) => Look { bold: true, ..look },
        Ok(colour @ 30..=37) => Look { colour: Some(colour), ..look },
        Ok(_) => look,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_and_lines_are_those_of_a_terminal() {
        let lines = lines("a\x1b[1mb\x1b[32mc\x1b[0m\r\n12 files\r\x1b[Kdone\r\n");
        let bold = Look { bold: true, colour: None };
        let green = Look { colour: Some(32), ..bold };
        assert_eq!(lines[0].0, [('a', Look::default()), ('b', bold), ('c', green)]);
        assert_eq!(lines[1].text(), "done");
        assert_eq!(lines.len(), 2);
    }
}
