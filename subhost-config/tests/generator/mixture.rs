//! Mixtures of scripts: lines and words of some put into others.

use super::random::Random;

/// A script of lines from several others, with a few words exchanged.
pub(crate) fn mixture(seed: u64, scripts: &[String]) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..1 + random.below(3) {
        let script = &scripts[random.below(scripts.len())];
        let all: Vec<&str> = script.lines().collect();
        if all.is_empty() {
            continue;
        }
        // As a whole, or a run of lines.
        let from = if random.percent(50) { 0 } else { random.below(all.len()) };
        let count = 1 + random.below(all.len() - from);
        lines.extend(all[from..from + count].iter().map(|&line| line.to_owned()));
    }
    for _ in 0..random.below(4) {
        let other = &scripts[random.below(scripts.len())];
        let words: Vec<&str> = other.split_whitespace().collect();
        if words.is_empty() || lines.is_empty() {
            continue;
        }
        let word = words[random.below(words.len())].to_owned();
        let at = random.below(lines.len());
        let mut own: Vec<String> = lines[at].split(' ').map(str::to_owned).collect();
        let place = random.below(own.len());
        match random.below(4) {
            0 => own.insert(place, word),
            1 => own[place] = word,
            2 => own[place].push_str(&word),
            _ => drop(own.remove(place)),
        }
        lines[at] = own.join(" ");
    }
    lines.join("\n").into_bytes()
}
