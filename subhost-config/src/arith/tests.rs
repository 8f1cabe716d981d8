//! Tables, and generated expressions against bash.

use std::collections::BTreeMap;

use super::*;
use crate::witness::{Dice, bash};

fn evaluate<C: Cells>(text: &[u8], cells: &mut C) -> Result<i64, ArithError<C::Stop>> {
    evaluate_as(Origin::Expanded, text, cells)
}

/// Variables with bash's rules for them, as far as arithmetic meets them.
#[derive(Clone, Default)]
struct Model {
    variables: BTreeMap<String, Value>,
    steps: usize,
}

#[derive(Clone)]
enum Value {
    Scalar(Vec<u8>),
    Indexed(BTreeMap<i64, Vec<u8>>),
    Associative(BTreeMap<Vec<u8>, Vec<u8>>),
}

const MANY_STEPS: usize = 100_000;

impl Cells for Model {
    type Stop = &'static str;

    fn is_associative(&self, name: &str) -> bool {
        matches!(self.variables.get(name), Some(Value::Associative(_)))
    }

    fn read(&mut self, name: &str, subscript: Option<&Subscript>) -> Result<Option<Vec<u8>>, &'static str> {
        let index = match subscript {
            Some(Subscript::Key(key)) => {
                let Some(Value::Associative(all)) = self.variables.get(name) else {
                    panic!("a key in {name}")
                };
                return Ok(all.get(key).cloned());
            }
            Some(Subscript::Index(index)) => *index,
            None => 0,
        };
        match self.variables.get(name) {
            None | Some(Value::Scalar(_)) if index < 0 => Err("bad array subscript"),
            None => Ok(None),
            Some(Value::Scalar(value)) => Ok((index == 0).then(|| value.clone())),
            Some(Value::Indexed(all)) => Ok(all.get(&position(all, index)?).cloned()),
            Some(Value::Associative(all)) => Ok(all.get(&b"0"[..]).cloned()),
        }
    }

    fn write(&mut self, name: &str, subscript: Option<&Subscript>, value: i64) -> Result<(), &'static str> {
        let value = value.to_string().into_bytes();
        let variable = self.variables.entry(name.to_owned()).or_insert_with(|| match subscript {
            Some(_) => Value::Indexed(BTreeMap::new()),
            None => Value::Scalar(Vec::new()),
        });
        if let (Value::Scalar(old), Some(_)) = (&*variable, subscript) {
            *variable = Value::Indexed(BTreeMap::from([(0, old.clone())]));
        }
        match (variable, subscript) {
            (Value::Scalar(it), _) => *it = value,
            (Value::Indexed(all), Some(Subscript::Index(index))) => {
                let index = position(all, *index)?;
                all.insert(index, value);
            }
            (Value::Indexed(all), _) => {
                all.insert(0, value);
            }
            (Value::Associative(all), Some(Subscript::Key(key))) => {
                all.insert(key.clone(), value);
            }
            (Value::Associative(all), _) => {
                all.insert(b"0".to_vec(), value);
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), &'static str> {
        self.steps += 1;
        if self.steps > MANY_STEPS { Err("too many steps") } else { Ok(()) }
    }
}

fn position(all: &BTreeMap<i64, Vec<u8>>, index: i64) -> Result<i64, &'static str> {
    let end = all.last_key_value().map_or(0, |(last, _)| last.wrapping_add(1));
    let index = if index < 0 { end.wrapping_add(index) } else { index };
    if index < 0 { Err("bad array subscript") } else { Ok(index) }
}

impl Model {
    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), Value::Scalar(value.into()));
    }

    /// As the function `show` of [`BEFORE`].
    fn shown(&self) -> String {
        let mut shown = String::new();
        for name in ["x", "y", "z", "a", "b", "m"] {
            match self.variables.get(name) {
                None => shown += "unset",
                Some(Value::Scalar(value)) => shown += &String::from_utf8_lossy(value),
                Some(Value::Indexed(all)) => {
                    for (index, value) in all {
                        shown += &format!("[{index}={}]", String::from_utf8_lossy(value));
                    }
                }
                Some(Value::Associative(all)) => {
                    for key in KEYS {
                        let value =
                            all.get(key.as_bytes()).map_or("unset".into(), |it| String::from_utf8_lossy(it));
                        shown += &format!("[{key}={value}]");
                    }
                    shown += &all.len().to_string();
                }
            }
            shown += "\n";
        }
        shown
    }

    fn in_bash(&self) -> String {
        let mut script = "unset ${!x@} ${!y@} ${!z@} ${!a@} ${!b@} ${!m@} ${!f@} ${!F@} ${!Z@}\n".to_owned();
        for (name, value) in &self.variables {
            let text = |bytes: &[u8]| format!("'{}'", String::from_utf8_lossy(bytes));
            script += &match value {
                Value::Scalar(value) => format!("{name}={}", text(value)),
                Value::Indexed(all) => {
                    let all: String = all.iter().map(|(at, it)| format!("[{at}]={} ", text(it))).collect();
                    format!("{name}=({all})")
                }
                Value::Associative(all) => {
                    let all: String =
                        all.iter().map(|(at, it)| format!("[{}]={} ", text(at), text(it))).collect();
                    format!("declare -A {name}=({all})")
                }
            };
            script += "\n";
        }
        script
    }
}

const KEYS: [&str; 8] = ["0", "1", "k", " k ", "x+1", "a[1]", "@", "~"];

const BEFORE: &str = r#"
show() {
    local name key
    for name in x y z a b m; do
        local -n it=$name
        if [[ ${it@a} == *a* ]]; then
            for key in "${!it[@]}"; do printf '[%s=%s]' "$key" "${it[$key]}"; done
        elif [[ ${it@a} == *A* ]]; then
            for key in 0 1 k ' k ' x+1 'a[1]' @ '~'; do printf '[%s=%s]' "$key" "${it[$key]-unset}"; done
            printf %s "${#it[@]}"
        else
            printf %s "${it-unset}"
        fi
        echo
        unset -n it
    done
}
"#;

fn value(text: &str) -> Result<i64, ArithError<&'static str>> {
    evaluate(text.as_bytes(), &mut Model::default())
}

fn value_with(set: &[(&str, &str)], text: &str) -> Result<i64, ArithError<&'static str>> {
    let mut model = Model::default();
    set.iter().for_each(|(name, value)| model.set(name, value));
    evaluate(text.as_bytes(), &mut model)
}

#[test]
fn gives_the_values_of_bash() {
    for (text, expected) in [
        ("", 0),
        (" \t\n", 0),
        ("-2**2", 4),
        ("2**3**2", 512),
        ("7-2-1", 4),
        ("1?2:3?4:5", 2),
        ("0?2:0?4:5", 5),
        ("-9223372036854775808/-1", i64::MIN),
        ("-9223372036854775808%-1", 0),
        ("9223372036854775807+1", i64::MIN),
        ("1<<65", 2),
        ("1<<-1", i64::MIN),
        ("5 --3", 8),
        ("++5", 5),
        ("x=3, x++ + ++x", 8),
        ("x=y=4, x+y", 8),
        ("017+0x1F+2#101+64#_", 15 + 31 + 5 + 63),
        ("18446744073709551618#1", 1),
        ("\"1\"2", 12),
        ("0 && 1/0", 0),
        ("1 || (x=5), x", 0),
        ("0 && b[]", 0),
    ] {
        assert_eq!(value(text), Ok(expected), "{text:?}");
    }
}

#[test]
fn says_what_is_wrong() {
    for (text, expected) in [
        ("1/0", "division by 0"),
        ("2**-1", "exponent less than 0"),
        ("0 && 2**-1", "exponent less than 0"),
        ("08", "value too great for base"),
        ("65#1", "invalid arithmetic base"),
        ("2#", "invalid integer constant"),
        ("1=2", "attempted assignment to non-variable"),
        ("x+y=2", "attempted assignment to non-variable"),
        ("++x++", "assignment requires lvalue"),
        ("(1", "missing `)'"),
        ("1?2", "`:' expected for conditional expression"),
        ("1 2", "syntax error in expression"),
        ("1+", "syntax error: operand expected"),
        ("1 @", "syntax error: invalid arithmetic operator"),
        ("a[]", "bad array subscript"),
        ("a[@]", "bad array subscript"),
        ("a[1", "bad array subscript"),
        ("a['1']", "quote or expansion in a subscript"),
        ("$x", "syntax error: operand expected"),
        ("m[\\k]", "backslash in an expression"),
    ] {
        assert_eq!(value(text), Err(ArithError::Message(expected.to_owned())), "{text:?}");
    }
}

#[test]
fn evaluates_the_value_of_a_name_and_no_quotes_in_it() {
    assert_eq!(value_with(&[("x", "y+1"), ("y", "z=4")], "x*2"), Ok(10));
    assert_eq!(value_with(&[("x", "")], "x"), Ok(0));
    assert!(value_with(&[("x", "\"1\"")], "x").is_err());
    let endless = value_with(&[("x", "x")], "x");
    assert_eq!(endless, Err(ArithError::Message("expression recursion level exceeded".to_owned())));
}

#[test]
fn refuses_an_update_of_an_element_whose_place_may_have_moved() {
    let mut model = Model::default();
    model.variables.insert("a".to_owned(), Value::Indexed((0..3).map(|at| (at, b"1".to_vec())).collect()));
    assert_eq!(evaluate(b"a[-1]+=4", &mut model), Ok(5));
    for (text, expected) in [("a[-1]+=a[7]=4", REFUSED[1]), ("b[--b[0]]", REFUSED[0])] {
        let ours = evaluate_as(Origin::Plain, text.as_bytes(), &mut model);
        assert_eq!(ours, Err(ArithError::Message(expected.to_owned())), "{text}");
    }
}

#[test]
fn quotes_and_nested_subscripts_depend_on_the_origin() {
    use Origin::{Expanded, Plain, Quoted, Value as FromValue};
    let mut model = Model::default();
    model.variables.insert("a".to_owned(), Value::Indexed((0..3).map(|at| (at, b"1".to_vec())).collect()));
    let keys = ["k", "a[1]", "it's"].map(|key| (key.into(), b"7".to_vec()));
    model.variables.insert("m".to_owned(), Value::Associative(keys.into()));
    for (text, expected) in [
        ("\"1\"+a[\"0\"]", [Some(2), Some(2), None, None]),
        ("m[\"k\"]", [Some(7), Some(7), None, None]),
        ("a[a[1]]", [None, Some(1), None, Some(1)]),
        ("~a[a[1]]", [None, None, None, Some(-2)]),
        ("a[~a[1]]", [None, None, None, Some(1)]),
        ("m[a[1]]", [Some(7); 4]),
        ("m[a\\[1\\]]", [None, None, Some(7), Some(7)]),
        ("m[it\\'s]", [None, None, Some(7), Some(7)]),
        ("m[it's]", [None; 4]),
        ("m[$k]", [None; 4]),
    ] {
        let ours = [Expanded, Plain, Quoted, FromValue]
            .map(|origin| evaluate_as(origin, text.as_bytes(), &mut model.clone()).ok());
        assert_eq!(ours, expected, "{text}");
    }
}

#[test]
fn a_hostile_text_ends_in_little_stack_and_few_steps() {
    let many = 1 << 20;
    let texts =
        ["(", "a[", "1?", "-", "x=", "2**", "++", "! ", "x?y:", "a ", "1,", "a[(", "[", "1+1?", "x[0", "\""];
    let run = move || {
        for text in texts.map(|it| it.repeat(many / it.len()).into_bytes()) {
            let mut model = Model::default();
            model.set("x", "y");
            let _ = evaluate(&text, &mut model);
            assert!(model.steps <= MANY_STEPS + 1);
        }
        let mut model = Model::default();
        for (name, value) in [("a", "b+b"), ("b", "c+c"), ("c", "a+a")] {
            model.set(name, value);
        }
        assert!(evaluate(b"a", &mut model).is_err());
    };
    let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(run).expect("a thread starts");
    thread.join().expect("the stack is enough");
}

/// What bash has a value for and we do not.
const REFUSED: [&str; 2] = [
    "array that changes in its own subscript",
    "negative subscript of an array that may have changed meanwhile",
];

#[test]
fn equals_bash_in_generated_expressions() {
    let mut dice = Dice::new(5);
    let models: Vec<Model> = (0..40).map(|_| some_variables(&mut dice)).collect();
    let cases: Vec<(&Model, Origin, String)> = (0..6000)
        .map(|at| {
            let text = some_text(&mut dice);
            let (origin, text) = match dice.roll(3) {
                0 if are_balanced(&text) => (Origin::Plain, text),
                1 if are_balanced(&text) => (Origin::Expanded, text),
                _ => return (&models[at % models.len()], Origin::Value, text),
            };
            let text = if dice.roll(4) == 0 { text.replace('z', "\"z\"") } else { text };
            (&models[at % models.len()], origin, text)
        })
        .collect();
    let scripts: Vec<String> = cases
        .iter()
        .map(|(model, origin, text)| {
            let value = match origin {
                Origin::Plain => format!("r=$(( {text} ))"),
                Origin::Expanded => format!("r=$(( $EMPTY {text} ))"),
                _ => format!("VALUE='{text}'; r=$(( VALUE ))"),
            };
            format!("{}r=\n{value}\necho \"=$r\"; show", model.in_bash())
        })
        .collect();
    let mut values = 0;
    for ((model, origin, text), theirs) in cases.iter().zip(bash(BEFORE, &scripts)) {
        let theirs = String::from_utf8(theirs).expect("all is ASCII");
        let mut after = (*model).clone();
        let ours = evaluate_as(*origin, text.as_bytes(), &mut after);
        let context = || format!("{origin:?} {text}\nwith\n{}bash: {theirs}ours: {ours:?}", model.in_bash());
        match &ours {
            Ok(value) => {
                values += 1;
                assert_eq!(format!("={value}\n{}", after.shown()), theirs, "{}", context());
            }
            Err(ArithError::Message(message)) if REFUSED.contains(&message.as_str()) => {}
            Err(_) => assert!(!theirs.starts_with('=') || theirs.starts_with("=\n"), "{}", context()),
        }
    }
    assert!(values > 2000, "{values} of the expressions have a value");
}

fn are_balanced(text: &str) -> bool {
    let mut open = 0usize;
    text.bytes().all(|byte| match byte {
        b'(' => {
            open += 1;
            true
        }
        b')' if open == 0 => false,
        b')' => {
            open -= 1;
            true
        }
        _ => true,
    }) && open == 0
}

/// Variables whose values are numbers, expressions and nonsense.
fn some_variables(dice: &mut Dice) -> Model {
    let values = [
        "0",
        "1",
        "2",
        "3",
        "-3",
        "",
        " ",
        "y",
        "y+1",
        "z=4",
        "a[1]",
        "++z",
        "z++",
        "m[k]",
        "0x1F",
        "64",
        "08",
        "1 2",
        "a[z++]=2",
        "z,y",
        "-9223372036854775808",
        " 7 ",
        "(2)",
        "0&&y",
        "m[ k ]",
        "b",
    ];
    let mut model = Model::default();
    for name in ["x", "y", "z"] {
        if dice.roll(5) > 0 {
            model.set(name, dice.pick(&values));
        }
    }
    if dice.roll(5) > 0 {
        let all = (0..dice.roll(5)).map(|at| (i64::try_from(at).unwrap(), dice.pick(&values).into()));
        model.variables.insert("a".to_owned(), Value::Indexed(all.collect()));
    }
    if dice.roll(2) > 0 {
        let all = (0..4).map(|_| (dice.pick(&KEYS).into(), dice.pick(&values).into()));
        model.variables.insert("m".to_owned(), Value::Associative(all.collect()));
    }
    model
}

/// An expression, sometimes with a part of it lost or doubled, or a mere row of tokens.
fn some_text(dice: &mut Dice) -> String {
    if dice.roll(8) == 0 {
        let tokens = [
            "x", "y", "z", "1", "2", "+", "-", "++", "--", "*", "**", "/", "%", "=", "==", "+=", "<<=", "?",
            ":", ",", "(", ")", "!", "~", "&&", "||", "a[1]", "m[k]", " ", "<", ">", "!=", "[", "]", "#",
            "@", "0", "09", "{",
        ];
        return (0..1 + dice.roll(8)).map(|_| dice.pick(&tokens)).collect();
    }
    let text = some_expression(dice, 4);
    if dice.roll(8) > 0 {
        return text;
    }
    let (at, length) = (dice.roll(text.len()), 1 + dice.roll(3));
    let end = (at + length).min(text.len());
    if dice.roll(2) == 0 {
        format!("{}{}", &text[..at], &text[end..])
    } else {
        format!("{}{}{}", &text[..end], &text[at..end], &text[end..])
    }
}

fn some_expression(dice: &mut Dice, depth: usize) -> String {
    let blank = dice.pick(&["", "", "", " ", "\n", "\t "]);
    let next = depth.saturating_sub(1);
    match if depth == 0 { dice.roll(3) } else { dice.roll(14) } {
        0 => dice
            .pick(&[
                "0",
                "1",
                "2",
                "3",
                "63",
                "-1",
                "017",
                "0xfF",
                "36#Zz",
                "37#Zz",
                "2#11",
                "9223372036854775807",
            ])
            .to_owned(),
        1 | 2 => some_place(dice, next),
        3 => format!("{}{blank}{}", dice.pick(&["++", "--"]), some_place(dice, next)),
        4 => format!("{}{blank}{}", some_place(dice, next), dice.pick(&["++", "--"])),
        5 => format!("({blank}{})", some_expression(dice, next)),
        6 => format!("{}{blank}{}", dice.pick(&["!", "~", "-", "+"]), some_expression(dice, next)),
        7 | 8 => {
            let operators = ["=", "=", "*=", "/=", "%=", "+=", "-=", "<<=", ">>=", "&=", "^=", "|="];
            format!(
                "{}{blank}{}{}",
                some_place(dice, next),
                dice.pick(&operators),
                some_expression(dice, next)
            )
        }
        9 => {
            let (if_so, if_not) = (some_expression(dice, next), some_expression(dice, next));
            format!("{}?{blank}{if_so}:{if_not}{blank}", some_expression(dice, next))
        }
        10 => format!("{},{blank}{}", some_expression(dice, next), some_expression(dice, next)),
        _ => {
            let operators = [
                "||", "&&", "|", "^", "&", "==", "!=", "<", "<=", ">", ">=", "<<", ">>", "+", "-", "*", "/",
                "%", "**",
            ];
            let (left, right) = (some_expression(dice, next), some_expression(dice, next));
            format!("{left}{blank}{}{blank}{right}", dice.pick(&operators))
        }
    }
}

fn some_place(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(8) {
        0..4 => dice.pick(&["x", "y", "z"]).to_owned(),
        4 => dice.pick(&["a", "m", "b"]).to_owned(),
        5 => format!("m[{}]", dice.pick(&KEYS)),
        6 => format!("a[{}]", dice.pick(&["0", "1", "z", "-1", "y++", "x=1"])),
        _ if depth == 0 => "b[2]".to_owned(),
        _ => format!("{}[{}]", dice.pick(&["a", "b", "x"]), some_expression(dice, depth.min(1))),
    }
}
