//! Scripts of tokens in any order.

use super::random::Random;

const TOKENS: &[&str] = &[
    "A", "=", "+=", "(", ")", "[", "]", "$", "${", "}", "$((", "))", "((", "'", "\"", "$'", "\\", "\n", ";", ";;", "&&", "||", "#", " ",
    " ", "\t", "~", "{", ",", "..", "*", "!", "if ", "then ", "fi ", "case ", "in ", "esac ", "for ", "do ", "done ", "{ ", "[[ ", " ]]",
    "function ", "export ", "declare -a ", "declare -A ", "DISKS", "=(", "vda:1:/a", "[1]=", "é", "<<E\n", "E\n", "f()", "A=1", "B=(a b)",
    "$A", "${A", ":-", "%", "##", "/", "@", "^^", "B[", "-1", "x", "\n}", "[ ", " ]", "==", "unset ", ": ", "true", "return ", "local ",
    "$(", "`", "|", "&", "<(", "\r\n", "\u{feff}", "\x01", "\x7f", "let ", "=~", ";&", "elif ", "else ", "while ", "I++", "[@]", "#A",
];

/// The tokens of this seed. Most soups are short: of the long ones hardly any is accepted.
pub(crate) fn soup(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let count = 1 + random.below(8);
    (0..count).map(|_| random.pick(TOKENS)).collect::<String>().into_bytes()
}
