//! Associative arrays in the order in which bash shows them.

use std::collections::{BTreeMap, HashMap, btree_map};
use std::ffi::c_char;
use std::fmt;
use std::sync::Arc;

/// A map from keys to values that is iterated in bash's order: the order of `declare -p`, `${M[@]}` and `${!M[@]}`.
///
/// That order is what bash's hash table happens to give. It depends on the keys, on the order in which they came
/// and on how many there have been, and is kept by a clone as bash keeps it in a copy. As bash hashes the bytes
/// of a key as the C type `char`, keys that are not ASCII are elsewhere on machines where that has no sign.
///
/// Operations on one key take logarithmic time at most, whatever the keys are.
///
/// ```
/// use subhost_config::Assoc;
///
/// let mut disks: Assoc<u32> = Assoc::new();
/// disks.insert(b"root".to_vec(), 1);
/// disks.insert(b"vdb".to_vec(), 2);
/// disks.insert(b"vda".to_vec(), 3);
/// assert_eq!(disks.get(b"vdb"), Some(&2));
/// assert_eq!(disks.keys().collect::<Vec<_>>(), [&b"vda"[..], b"vdb", b"root"]);
/// ```
#[derive(Clone)]
pub struct Assoc<V> {
    /// A power of two.
    buckets: u32,
    /// By bucket, and in it the last that came first: [`last_rank`](Self::last_rank) goes down.
    entries: BTreeMap<Place, (Arc<[u8]>, V)>,
    places: HashMap<Arc<[u8]>, Place>,
    last_rank: i64,
}

type Place = (u32, i64);

/// The buckets of a new associative array.
const BUCKETS: u32 = 1024;

/// The buckets of a variable that `declare -A` makes an associative array of.
const BUCKETS_OF_CONVERTED: u32 = 128;

/// With so many entries in a bucket, on the average, the next key makes there be [`GROWTH`] times as many buckets.
const FULL: usize = 2;
const GROWTH: u32 = 4;

impl<V> Assoc<V> {
    /// An empty array, as after `declare -A M` of a new variable.
    pub fn new() -> Self {
        Self::with_buckets(BUCKETS)
    }

    /// What becomes of a variable with this value at `declare -A`: an array with the key `0`. Its order is
    /// another than that of a new one.
    pub fn from_scalar(value: V) -> Self {
        let mut converted = Self::with_buckets(BUCKETS_OF_CONVERTED);
        converted.insert(b"0".to_vec(), value);
        converted
    }

    fn with_buckets(buckets: u32) -> Self {
        Self { buckets, entries: BTreeMap::new(), places: HashMap::new(), last_rank: 0 }
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether there is this key.
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.places.contains_key(key)
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        let (_, value) = self.entries.get(self.places.get(key)?)?;
        Some(value)
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let (_, value) = self.entries.get_mut(self.places.get(key)?)?;
        Some(value)
    }

    /// Sets the value of a key and returns the one it had. Such a key stays where it is in the order.
    pub fn insert(&mut self, key: Vec<u8>, value: V) -> Option<V> {
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        if self.is_full() {
            self.grow();
        }
        self.place(key.into(), value);
        None
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        let (_, value) = self.entries.remove(&self.places.remove(key)?)?;
        Some(value)
    }

    /// Removes all, as `M=()` does; an array that was large keeps its larger table, and so its order.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.places.clear();
    }

    /// All keys and values in order.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter(self.entries.values())
    }

    /// All keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.iter().map(|(key, _)| key)
    }

    /// All values in order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    fn is_full(&self) -> bool {
        usize::try_from(self.buckets).is_ok_and(|buckets| self.len() / FULL >= buckets)
    }

    fn grow(&mut self) {
        let Some(buckets) = self.buckets.checked_mul(GROWTH) else { return };
        self.buckets = buckets;
        self.places.clear();
        for (key, value) in std::mem::take(&mut self.entries).into_values() {
            self.place(key, value);
        }
    }

    /// Adds what is not there yet, at the front of its bucket.
    fn place(&mut self, key: Arc<[u8]>, value: V) {
        self.last_rank -= 1;
        let place = (hash(&key) % self.buckets, self.last_rank);
        self.places.insert(Arc::clone(&key), place);
        self.entries.insert(place, (key, value));
    }
}

/// FNV-1 with 32 bits, except that each byte is taken as a `char`, with its sign if that has one.
fn hash(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash: u32, &byte| {
        hash.wrapping_mul(0x0100_0193) ^ i32::from(c_char::from_ne_bytes([byte])).cast_unsigned()
    })
}

impl<V> Default for Assoc<V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Equal are the keys, their values and their order.
impl<V: PartialEq> PartialEq for Assoc<V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<V: Eq> Eq for Assoc<V> {}

impl<V: fmt::Debug> fmt::Debug for Assoc<V> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map()
            .entries(self.iter().map(|(key, value)| (key.escape_ascii().to_string(), value)))
            .finish()
    }
}

impl<V> Extend<(Vec<u8>, V)> for Assoc<V> {
    fn extend<I: IntoIterator<Item = (Vec<u8>, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<V> FromIterator<(Vec<u8>, V)> for Assoc<V> {
    fn from_iter<I: IntoIterator<Item = (Vec<u8>, V)>>(entries: I) -> Self {
        let mut all = Self::new();
        all.extend(entries);
        all
    }
}

impl<'a, V> IntoIterator for &'a Assoc<V> {
    type Item = (&'a [u8], &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

/// The keys and values of an [`Assoc`] in order.
#[derive(Clone, Debug)]
pub struct Iter<'a, V>(btree_map::Values<'a, Place, (Arc<[u8]>, V)>);

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a [u8], &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (&key[..], value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<V> ExactSizeIterator for Iter<'_, V> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::{Dice, bash};

    #[test]
    fn keeps_one_value_for_a_key() {
        let mut all = Assoc::new();
        assert_eq!(all.insert(b"a".to_vec(), 1), None);
        assert_eq!(all.insert(b"a".to_vec(), 2), Some(1));
        *all.get_mut(b"a").expect("it is there") += 5;
        assert_eq!((all.len(), all.get(b"a"), all.get(b"b")), (1, Some(&7), None));
        assert_eq!((all.remove(b"b"), all.remove(b"a"), all.remove(b"a")), (None, Some(7), None));
        assert!(all.is_empty() && !all.contains_key(b"a"));
        assert_eq!(format!("{:?}", Assoc::from_scalar(1)), "{\"0\": 1}");
    }

    #[test]
    fn finds_and_removes_keys_that_share_a_bucket() {
        let keys: Vec<Vec<u8>> = (0..3_000_000u32)
            .map(|it| it.to_string().into_bytes())
            .filter(|it| hash(it) % 16384 == 7)
            .collect();
        let mut all: Assoc<()> = keys.iter().map(|key| (key.clone(), ())).collect();
        for key in &keys {
            assert!(all.contains_key(key));
        }
        assert!(keys.len() > 100);
        keys.iter().for_each(|key| assert_eq!(all.remove(key), Some(())));
    }

    /// What is done to an array, in bash and here.
    enum Act {
        Insert(Vec<u8>),
        Remove(Vec<u8>),
        /// `M=(…)`.
        Replace(Vec<Vec<u8>>),
        /// `M+=(…)`.
        Append(Vec<Vec<u8>>),
        /// `unset M; declare -A M`.
        New,
        /// `unset M; M=value; declare -A M`.
        Convert,
    }

    #[test]
    fn has_the_order_of_bash() {
        let mut dice = Dice::new(3);
        let mut sizes =
            vec![0, 1, 2, 5, 20, 100, 300, 1000, 2047, 2048, 2049, 2050, 3000, 5000, 8191, 8194, 9000];
        sizes.extend((0..20).map(|_| dice.roll(700)));
        let mut scripts = Vec::new();
        let mut expected = Vec::new();
        for size in sizes {
            let acts = some_acts(&mut dice, size);
            let mut script = "unset M; declare -A M\n".to_owned();
            let mut all = Assoc::new();
            for (at, act) in acts.iter().enumerate() {
                perform(act, &mut all, at);
                script += &in_bash(act, at);
            }
            script += "declare -p M; printf '%s\\n' \"${!M[@]}\" - \"${M[@]}\"; copy";
            scripts.push(script);
            let mut copy = all.clone();
            copy.insert(b"new key".to_vec(), "1".to_owned());
            expected.push((all, copy));
        }
        let before = "copy() { local -I M; M['new key']=1; printf '%s\\n' - \"${!M[@]}\"; }";
        for ((ours, copy), theirs) in expected.iter().zip(bash(before, &scripts)) {
            assert_eq!(shown(ours, copy), String::from_utf8(theirs).expect("all is UTF-8"));
        }
    }

    fn shown(all: &Assoc<String>, copy: &Assoc<String>) -> String {
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).expect("a key of the test");
        let mut shown = "declare -A M".to_owned();
        if !all.is_empty() {
            shown += "=(";
            for (key, value) in all {
                let quote = if key.iter().all(u8::is_ascii_alphanumeric) { "" } else { "\"" };
                shown += &format!("[{quote}{}{quote}]=\"{value}\" ", text(key));
            }
            shown += ")";
        }
        shown += "\n";
        all.keys().for_each(|key| shown += &format!("{}\n", text(key)));
        shown += "-\n";
        all.values().for_each(|value| shown += &format!("{value}\n"));
        shown += "-\n";
        copy.keys().for_each(|key| shown += &format!("{}\n", text(key)));
        shown
    }

    /// Acts that leave about as many keys.
    fn some_acts(dice: &mut Dice, size: usize) -> Vec<Act> {
        let key = |dice: &mut Dice| match dice.roll(4) {
            0 => dice.roll(2 * size.max(1)).to_string(),
            1 => format!("k{}", dice.roll(1 << 20)),
            2 => format!("{}é {}ü", dice.roll(100), dice.roll(100)),
            _ => format!("{:x}Z", dice.roll(1 << 30)),
        };
        let mut known: Vec<String> = Vec::new();
        let mut acts = Vec::new();
        while known.len() < size {
            let some = |dice: &mut Dice| (0..1 + dice.roll(9)).map(|_| key(dice).into_bytes()).collect();
            acts.push(match dice.roll(200) {
                0 => Act::Append(some(dice)),
                1 if size < 1000 => Act::Replace(some(dice)),
                2 if size < 1000 => {
                    if dice.roll(2) == 0 {
                        Act::New
                    } else {
                        Act::Convert
                    }
                }
                3..20 if !known.is_empty() => Act::Remove(known[dice.roll(known.len())].clone().into_bytes()),
                20..40 if !known.is_empty() => {
                    Act::Insert(known[dice.roll(known.len())].clone().into_bytes())
                }
                _ => {
                    known.push(key(dice));
                    Act::Insert(known[known.len() - 1].clone().into_bytes())
                }
            });
        }
        if size > 1000 {
            // A large one that is emptied keeps its table.
            acts.push(Act::Replace((0..30).map(|_| key(dice).into_bytes()).collect()));
            acts.extend((0..30).map(|_| Act::Insert(key(dice).into_bytes())));
        }
        acts
    }

    fn perform(act: &Act, all: &mut Assoc<String>, at: usize) {
        let pairs =
            |keys: &[Vec<u8>]| keys.iter().map(|key| (key.clone(), at.to_string())).collect::<Vec<_>>();
        match act {
            Act::Insert(key) => drop(all.insert(key.clone(), at.to_string())),
            Act::Remove(key) => drop(all.remove(key)),
            Act::Append(keys) => all.extend(pairs(keys)),
            Act::Replace(keys) => {
                all.clear();
                all.extend(pairs(keys));
            }
            Act::New => *all = Assoc::new(),
            Act::Convert => *all = Assoc::from_scalar(at.to_string()),
        }
    }

    fn in_bash(act: &Act, at: usize) -> String {
        let text = |key: &Vec<u8>| String::from_utf8(key.clone()).expect("a key of the test");
        let list =
            |keys: &[Vec<u8>]| keys.iter().map(|it| format!("['{}']={at} ", text(it))).collect::<String>();
        match act {
            Act::Insert(key) => format!("M['{}']={at}\n", text(key)),
            Act::Remove(key) => format!("unset 'M[{}]'\n", text(key)),
            Act::Append(keys) => format!("M+=({})\n", list(keys)),
            Act::Replace(keys) => format!("M=({})\n", list(keys)),
            Act::New => "unset M; declare -A M\n".to_owned(),
            Act::Convert => format!("unset M; M={at}; declare -A M\n"),
        }
    }
}
