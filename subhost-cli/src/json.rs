//! Paths in JSON, which is text: what of a path is not UTF-8 is shown as U+FFFD.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Serialize as _, Serializer};

/// The version of `docs/json.md` that all output is of. It rises when a field goes or means something else, and not when
/// one is added.
pub const VERSION: u32 = 1;

/// A path as text.
///
/// # Errors
/// Those of the serializer.
pub fn path<S: Serializer>(path: impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().to_string_lossy().serialize(serializer)
}

/// Any text as text.
///
/// # Errors
/// Those of the serializer.
pub fn maybe_text<S: Serializer>(text: &Option<OsString>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_ref().map(|text| text.to_string_lossy()).serialize(serializer)
}

/// Any texts as texts.
///
/// # Errors
/// Those of the serializer.
pub fn texts<S: Serializer>(texts: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(texts.iter().map(|text| text.to_string_lossy()))
}

/// Paths as text.
///
/// # Errors
/// Those of the serializer.
pub fn paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// Texts that have to come back as they were: as text, or as an array of bytes where they are not UTF-8.
pub mod lossless {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Text {
        Utf8(String),
        Bytes(Vec<u8>),
    }

    impl From<&OsString> for Text {
        fn from(text: &OsString) -> Text {
            text.to_str()
                .map_or_else(|| Text::Bytes(text.as_bytes().to_vec()), |text| Text::Utf8(text.to_owned()))
        }
    }

    impl From<Text> for OsString {
        fn from(text: Text) -> OsString {
            match text {
                Text::Utf8(text) => text.into(),
                Text::Bytes(bytes) => OsString::from_vec(bytes),
            }
        }
    }

    /// One text.
    pub mod one {
        use super::{Deserialize, Deserializer, OsString, Serialize, Serializer, Text};

        /// Writes it.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(text: &OsString, serializer: S) -> Result<S::Ok, S::Error> {
            Text::from(text).serialize(serializer)
        }

        /// Reads it.
        ///
        /// # Errors
        /// Those of the deserializer.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OsString, D::Error> {
            Text::deserialize(deserializer).map(Into::into)
        }
    }

    /// A list of texts.
    pub mod list {
        use super::{Deserialize, Deserializer, OsString, Serializer, Text};

        /// Writes them.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(texts: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(texts.iter().map(Text::from))
        }

        /// Reads them.
        ///
        /// # Errors
        /// Those of the deserializer.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OsString>, D::Error> {
            Ok(Vec::<Text>::deserialize(deserializer)?.into_iter().map(Into::into).collect())
        }
    }
}
