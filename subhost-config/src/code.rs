//! The stable codes of all diagnostics.
//!
//! `E01` syntax, `E02` constructs that are refused, `E03` evaluation, `E04` limits, `W05` warnings about
//! the text, `E10` and `W11` the settings, `E12` and `W13` overlay-boot's format.

/// A quote is never closed.
pub const UNCLOSED_QUOTE: &str = "E0101";
/// An array literal is never closed.
pub const UNCLOSED_ARRAY: &str = "E0102";
/// A character that bash does not allow here.
pub const UNEXPECTED: &str = "E0103";
/// The text holds a NUL byte.
pub const NUL_BYTE: &str = "E0104";
/// `$(`, `${`, `if` and the like are never closed.
pub const UNCLOSED_CONSTRUCT: &str = "E0105";
/// Something is glued to the `)` of an array literal.
pub const TEXT_AFTER_ARRAY: &str = "E0106";
/// A `$'…'` escape that names no Unicode character, or a backslash with nothing behind it.
pub const BAD_ESCAPE: &str = "E0107";

/// A command.
pub const COMMAND: &str = "E0201";
/// A subshell, `select`, `time` or `coproc`.
pub const COMPOUND: &str = "E0202";
/// `|` or `&`.
pub const LIST_OPERATOR: &str = "E0203";
/// A redirection.
pub const REDIRECTION: &str = "E0204";
/// An assignment before a command.
pub const ASSIGNMENT_BEFORE_COMMAND: &str = "E0205";
/// A function whose name is that of a command.
pub const FUNCTION: &str = "E0206";
/// `$(…)` or backquotes of what is not computed.
pub const COMMAND_SUBSTITUTION: &str = "E0210";
/// `$[…]`, or `$((…))` that is none.
pub const ARITHMETIC: &str = "E0211";
/// A form of `${…}` that bash does not know, or whose value is not determined.
pub const EXPANSION: &str = "E0212";
/// `$$`, `$!`, `$0` and the like, `$1` outside of a function, and a lone `$` where bash gives it a meaning.
pub const SPECIAL_PARAMETER: &str = "E0213";
/// `<(…)` or `>(…)`.
pub const PROCESS_SUBSTITUTION: &str = "E0214";
/// An unquoted `*`, `?` or `[` where bash would look for files.
pub const FILE_PATTERN: &str = "E0215";
/// An unquoted `{a,b}` or `{1..9}` that makes too much, or several assignments.
pub const BRACES: &str = "E0216";
/// An unquoted `~` that the file does not determine.
pub const TILDE: &str = "E0217";
/// An array subscript that is refused.
pub const SUBSCRIPT: &str = "E0218";
/// An option or operand of `declare`, `export` or `readonly` that is not supported.
pub const DECLARATION: &str = "E0219";

/// An assignment to a readonly variable.
pub const READONLY: &str = "E0301";
/// A subscript outside of the array.
pub const SUBSCRIPT_RANGE: &str = "E0302";
/// The value is bash's own and no plain fact of the file.
pub const SHELL_VARIABLE_READ: &str = "E0303";
/// An assignment to a variable that means something to bash itself.
pub const SHELL_VARIABLE_SET: &str = "E0304";
/// An unquoted variable in an array literal holds a file name pattern.
pub const PATTERN_IN_VALUE: &str = "E0305";
/// A byte 0x01 or 0x7f in a place where bash itself garbles it.
pub const GARBLED_BYTE: &str = "E0306";

/// Arithmetic that bash would complain about.
pub const BAD_ARITHMETIC: &str = "E0308";
/// `${NAME:?…}`, and NAME is not set.
pub const DEMANDED: &str = "E0309";
/// A variable that is not set, behind `set -u`.
pub const UNSET: &str = "E0310";
/// An include that is not allowed, not found or not trusted.
pub const INCLUDE: &str = "E0311";
/// A look at a file that the policy does not allow, or that failed.
pub const FILE_ACCESS: &str = "E0312";
/// A fact of the machine that is not looked at.
pub const HOST_FACT: &str = "E0313";
/// A `[ … ]` that bash would complain about, or that is no fact of the file.
pub const BAD_TEST: &str = "E0314";
/// A regular expression that is refused.
pub const BAD_REGEX: &str = "E0315";
/// `break` or `continue` outside of a loop.
pub const OUTSIDE: &str = "E0317";
/// A pattern that bash itself reads in a way nobody would expect.
pub const BAD_PATTERN: &str = "E0318";

/// The text is too large.
pub const SOURCE_TOO_LARGE: &str = "E0401";
/// A word is too long.
pub const WORD_TOO_LONG: &str = "E0402";
/// Constructs are nested too deeply.
pub const TOO_DEEP: &str = "E0403";
/// There is more wrong than is worth printing.
pub const TOO_MANY: &str = "E0404";
/// The values grow beyond the memory budget.
pub const MEMORY_BUDGET: &str = "E0405";
/// The script does not end within the step budget.
pub const STEP_BUDGET: &str = "E0406";
/// Functions or includes call each other too deeply.
pub const RECURSION: &str = "E0407";

/// Lines end in CR LF.
pub const CRLF: &str = "W0501";
/// The text begins with a byte order mark.
pub const BYTE_ORDER_MARK: &str = "W0502";
/// A variable that was never set is used, and is empty.
pub const UNSET_VARIABLE: &str = "W0503";
/// There are more warnings than are worth printing.
pub const TOO_MANY_WARNINGS: &str = "W0504";

/// An element of `DISKS` is malformed.
pub const DISK: &str = "E1001";
/// Two disks have one node name, or share a part of an image.
pub const DISK_CONFLICT: &str = "E1002";
/// An element of `BRIDGES` is malformed.
pub const CABLE: &str = "E1003";
/// Two cables have one MAC address.
pub const CABLE_CONFLICT: &str = "E1004";
/// A setting has a value that it cannot take.
pub const SETTING_VALUE: &str = "E1005";
/// A setting that takes one value is an array.
pub const SETTING_NOT_SCALAR: &str = "E1006";
/// A value that is known but cannot be had yet.
pub const NOT_SUPPORTED_YET: &str = "E1007";
/// Two values that cannot hold together.
pub const SETTING_CONFLICT: &str = "E1008";
/// A setting that takes a list is an associative array.
pub const SETTING_NOT_LIST: &str = "E1009";

/// A variable is spelled nearly like a setting.
pub const DID_YOU_MEAN: &str = "W1101";
/// A list from the environment was split on blanks.
pub const SPLIT_ON_BLANKS: &str = "W1103";
/// A value that is allowed, but unlikely to work well.
pub const UNWISE_VALUE: &str = "W1104";

/// A value of overlay-boot's format that is a command.
pub const OVERLAY_BOOT_COMMAND: &str = "E1201";
/// A value that overlay-boot's own reading changes or breaks.
pub const OVERLAY_BOOT_GARBLED: &str = "E1202";
/// A value that overlay-boot cannot take.
pub const OVERLAY_BOOT_VALUE: &str = "E1203";
/// A variable that overlay-boot needs is not there.
pub const OVERLAY_BOOT_MISSING: &str = "E1204";

/// A line that overlay-boot passes over.
pub const OVERLAY_BOOT_IGNORED_LINE: &str = "W1301";
/// A definition that overlay-boot passes over, since there is one above.
pub const OVERLAY_BOOT_SECOND_DEFINITION: &str = "W1302";
/// A value that overlay-boot takes as it is, and that is probably not meant so.
pub const OVERLAY_BOOT_LITERAL: &str = "W1303";
