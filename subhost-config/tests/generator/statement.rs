//! Assignments, declarations and control flow.

use super::Generator;
use super::word::Place;

impl Generator {
    pub(super) fn statements(&mut self, count: usize) -> String {
        let mut text = String::new();
        for _ in 0..count {
            text.push_str(&self.statement());
            let end = self.random.weighted(&[
                (20, "\n"),
                (3, "; "),
                (1, " ;\n"),
                (1, " # c\n"),
                (1, "\n\n"),
                (1, ";# it's $(\n"),
            ]);
            text.push_str(end);
        }
        text
    }

    /// Statements in one line or more, for `then`, `do` and `{`.
    fn body(&mut self) -> String {
        let count = 1 + self.random.below(2);
        self.deeper(|it| it.statements(count))
    }

    pub(super) fn statement(&mut self) -> String {
        let nested = usize::from(self.depth > 1);
        match self.random.weighted(&[
            (26, 0),
            (16, 1),
            (8, 2),
            (1 + 8 * usize::from(self.associative), 3),
            (6, 4),
            (5 * nested, 5),
            (4 * nested, 6),
            (5 * nested, 7),
            (3 * nested, 8),
            (2 * nested, 9),
            (4, 10),
            (4 * nested, 11),
            (3, 12),
            (2, 13),
            (2, 14),
            (2, 15),
            (1, 16),
            (2, 17),
        ]) {
            0 => {
                let count = self.random.weighted(&[(6, 1), (2, 2), (1, 3)]);
                (0..count).map(|_| self.assignment()).collect::<Vec<_>>().join(" ")
            }
            1 => self.array_assignment(),
            2 => self.declaration(),
            3 => self.associative(),
            4 => self.arithmetic_command(),
            5 => self.if_statement(),
            6 => self.case_statement(),
            7 => self.for_in(),
            8 => self.for_arithmetic(),
            9 => self.while_statement(),
            10 => self.list(),
            11 => self.function(),
            12 => self.printf(),
            13 => self.with_separator(),
            14 => {
                let name = self.name();
                self.random
                    .pick(&[
                        "unset A",
                        "unset 'A[1]'",
                        "unset 'A[0]'",
                        "unset -v A B",
                        "unset nothing",
                        "unset 'A[2]'",
                        "unset -v D",
                        "unset A B",
                    ])
                    .replace('B', name)
            }
            15 => {
                let name = self.name();
                let word = self.word(Place::Inner);
                format!(": \"${{{name}:={word}}}\"")
            }
            17 => self.rarity(),
            _ if self.in_loop => self.random.pick(&["break", "continue"]).to_owned(),
            _ => {
                self.indirect = true;
                format!("R={}", self.random.pick(&["A", "B", "A[1]", "A[@]", "I"]))
            }
        }
    }

    /// What few files hold.
    fn rarity(&mut self) -> String {
        let name = self.name();
        let word = self.word(Place::Assigned);
        self.random
            .pick(&[
                "declare \"X=$B\"",
                "export \"X=a $B\"",
                "declare $X",
                "declare \"X+=b\"",
                "OLD=$IFS; IFS=:; A=($X); IFS=$OLD",
                "h() { local IFS=,; A=($1); B=\"${A[*]}\"; }; h \"$X\"",
                "set -- $X W; A=$# B=(\"$@\")",
                "k() { touch \"$X\" > W; trap X EXIT; eval W | sed; }",
                "A=(\"${!X@}\")",
                "[[ $X =~ W ]] && A=1",
                "declare -n REF=X; REF=W; unset -n REF",
                "readonly \"E=W\"",
                "A=${IFS}W",
            ])
            .replace('X', name)
            .replace('W', &word)
    }

    pub(super) fn assignment(&mut self) -> String {
        if self.random.percent(12) {
            return format!("{}={}", self.integer(), self.small());
        }
        let name = self.name();
        let subscript =
            if self.random.percent(12) { format!("[{}]", self.subscript()) } else { String::new() };
        let plus = if self.random.percent(15) { "+" } else { "" };
        format!("{name}{subscript}{plus}={}", self.word(Place::Assigned))
    }

    pub(super) fn array_assignment(&mut self) -> String {
        let name = self.name();
        let plus = if self.random.percent(25) { "+" } else { "" };
        format!("{name}{plus}={}", self.array())
    }

    fn array(&mut self) -> String {
        let count = self.random.weighted(&[(1, 0), (3, 1), (5, 2), (5, 3), (2, 5)]);
        let mut text = "(".to_owned();
        for _ in 0..count {
            text.push_str(self.random.weighted(&[
                (8, " "),
                (2, "\n  "),
                (1, "\t"),
                (1, " # it's\n"),
                (1, " \\\n"),
            ]));
            if self.random.percent(12) {
                let plus = if self.random.percent(15) { "+" } else { "" };
                let subscript = self.subscript();
                text.push_str(&format!("[{subscript}]{plus}={}", self.word(Place::Assigned)));
            } else {
                text.push_str(&self.word(Place::Listed));
            }
        }
        text + self.random.pick(&[")", " )", "\n)"])
    }

    fn declaration(&mut self) -> String {
        let command = if self.in_function && self.random.percent(50) {
            self.random.pick(&["local", "local -a", "local -i", "local -r", "local -A", "local -u"])
        } else {
            self.random.weighted(&[
                (6, "export"),
                (6, "declare"),
                (2, "readonly"),
                (3, "declare -a"),
                (1, "typeset"),
                (3, "declare -i"),
                (2, "declare -x"),
                (1, "declare -l"),
                (1, "declare -u"),
                (1, "declare -g"),
                (1, "declare -gx"),
                (1, "declare +x"),
                (1, "declare -r"),
                (1, "declare -ai"),
                (1, "declare -A"),
                (1, "export -n"),
                (1, "declare -ru"),
                (1, "declare +i"),
                (1, "readonly -a"),
            ])
        };
        let count = self.random.weighted(&[(6, 1), (2, 2)]);
        let operands: Vec<String> = (0..count).map(|_| self.declared(command)).collect();
        format!("{command} {}", operands.join(" "))
    }

    fn declared(&mut self, command: &str) -> String {
        if command.contains("-i") || command.contains("-ai") {
            let (name, value) = (self.integer(), self.small());
            return match self.random.below(4) {
                0 => name.to_owned(),
                1 => format!("{name}=I+1"),
                2 => format!("{name}+=2"),
                _ => format!("{name}={value}"),
            };
        }
        if command.contains("-A") {
            return self.random.pick(&["N", "N=([a]=b)", "N=()", "N=([a b]=c [\"$A\"]=d)"]).to_owned();
        }
        if command.contains("readonly") || command.contains("-r") {
            // Mostly one that is not set again.
            let name = if self.random.percent(80) { "E" } else { self.name() };
            return format!("{name}={}", self.word(Place::Assigned));
        }
        match self.random.weighted(&[(2, 0), (5, 1), (3, 2)]) {
            0 => self.name().to_owned(),
            1 => self.assignment(),
            _ => self.array_assignment(),
        }
    }

    pub(super) fn declare_associative(&mut self, name: &str) -> String {
        let value = self.random.pick(&[
            "",
            "=()",
            "=([x]=1)",
            "=([x]=1 [y]=2)",
            "=([a]=b [c]=d)",
            "=([x]='a b' [\"y z\"]=c)",
            "=(a b c d)",
            "=([k]=v [x]=y [0]=z)",
            "=([one]=1 [two]=2 [three]=3 [four]=4)",
            "=([x]= [y]=)",
        ]);
        format!("declare -A {name}{value}\n")
    }

    fn associative(&mut self) -> String {
        if !std::mem::replace(&mut self.associative, true) {
            return self.declare_associative("M").trim_end().to_owned();
        }
        let key = self.random.weighted(&[
            (9, "x"),
            (9, "y"),
            (5, "a b"),
            (5, "'k'"),
            (2, "\"x$A\""),
            (2, "i$I"),
            (4, "x.y"),
            (4, "0"),
            (2, "\"a]b\""),
            (1, "@"),
            (3, "é"),
            (1, "$A"),
        ]);
        match self.random.weighted(&[(6, 0), (2, 1), (1, 2), (1, 3), (1, 4), (1, 5)]) {
            4 => self
                .random
                .pick(&["unset 'M[x]'", "unset 'M[y]'", "A=(\"${M[@]}\")", "A=(\"${!M[@]}\")"])
                .to_owned(),
            5 => format!("M[$((I++))]={}", self.word(Place::Assigned)),
            0 => {
                let plus = if self.random.percent(20) { "+" } else { "" };
                format!("M[{key}]{plus}={}", self.word(Place::Assigned))
            }
            1 => format!("M+=([{key}]={})", self.word(Place::Assigned)),
            2 => format!("M=([{key}]={} [y]+=1)", self.word(Place::Assigned)),
            _ => "for k in \"${!M[@]}\"; do A+=(\"$k\" \"${M[$k]}\"); done".to_owned(),
        }
    }

    fn arithmetic_command(&mut self) -> String {
        match self.random.weighted(&[(6, 0), (2, 1), (2, 2)]) {
            0 => format!("(({}))", self.deeper(Self::arithmetic)),
            1 => format!(
                "let {}",
                self.random.pick(&["I++", "'I = 1 + 2'", "I=5 J=I*2", "\"K=$I\"", "I+=1", "0", "A[1]=7"])
            ),
            _ => format!("{}=$(({}))", self.integer(), self.deeper(Self::arithmetic)),
        }
    }

    fn if_statement(&mut self) -> String {
        let gap = self.random.pick(&["; ", "\n"]);
        let mut text = format!("if {}{gap}then {}", self.condition(), self.body());
        if self.random.percent(25) {
            text.push_str(&format!("elif {}{gap}then {}", self.condition(), self.body()));
        }
        if self.random.percent(45) {
            text.push_str(&format!("else {}", self.body()));
        }
        text + "fi"
    }

    fn case_statement(&mut self) -> String {
        let word = if self.random.percent(60) { self.reference() } else { self.word(Place::Inner) };
        let mut text = format!("case {word} in\n");
        for _ in 0..self.random.below(4) {
            let open = self.random.pick(&["", "", "("]);
            let count = self.random.weighted(&[(4, 1), (2, 2)]);
            let patterns: Vec<String> = (0..count).map(|_| self.pattern()).collect();
            let end = self.random.weighted(&[(8, ";;"), (1, ";&"), (1, ";;&")]);
            text.push_str(&format!("{open}{}) {}{end}\n", patterns.join(" | "), self.body()));
        }
        if self.random.percent(50) {
            text.push_str(&format!("*) {}", self.body()));
        }
        text + "esac"
    }

    fn for_in(&mut self) -> String {
        let words: Vec<String> = (0..self.random.below(4)).map(|_| self.word(Place::Listed)).collect();
        let variable = self.random.pick(&["i", "x", "A", "C", "I"]);
        let used = if self.random.percent(70) {
            format!("{}+=(\"${variable}\")\n", self.name())
        } else {
            String::new()
        };
        let body = self.loop_body();
        let gap = self.random.pick(&["; ", "\n"]);
        format!("for {variable} in {}{gap}do {used}{body}done", words.join(" "))
    }

    fn for_arithmetic(&mut self) -> String {
        // A variable that no other statement changes, so that it ends.
        let end = self.random.below(5);
        let counter = self.counter();
        let head =
            self.random.pick(&["i=0;i<E;i++", "i = 0; i < E; i += 2", "i=E;i>0;i--", "i=0,j=1;i<E;i++,j*=2"]);
        let used = self.random.pick(&["A[i]=x$i\n", "B+=$i\n", "", "C+=(\"$i\")\n"]);
        let (head, used) =
            (head.replace('E', &end.to_string()).replace('i', &counter), used.replace('i', &counter));
        format!("for (({head})); do {used}{}done", self.loop_body())
    }

    fn while_statement(&mut self) -> String {
        let end = self.random.below(4);
        let (counter, body) = (self.counter(), self.loop_body());
        let head = self.random.pick(&[
            "while ((N++ < E))",
            "while [ $((N++)) -lt E ]",
            "until ((N++ >= E))",
            "while [[ ${#N} -lt E ]] && N+=x",
        ]);
        let head = head.replace('N', &counter).replace('E', &end.to_string());
        format!("{counter}=; {head}; do {body}done")
    }

    fn loop_body(&mut self) -> String {
        let outer = std::mem::replace(&mut self.in_loop, true);
        let body = self.body();
        self.in_loop = outer;
        body
    }

    fn list(&mut self) -> String {
        let operator = self.random.pick(&["&&", "||", "&&\n"]);
        let (condition, assignment) = (self.condition(), self.assignment());
        let more = if self.random.percent(25) { format!(" || {}", self.assignment()) } else { String::new() };
        format!("{condition} {operator} {assignment}{more}")
    }

    fn function(&mut self) -> String {
        let name = self.random.pick(&["f", "g"]);
        let in_loop = std::mem::replace(&mut self.in_loop, false);
        let outer = std::mem::replace(&mut self.in_function, true);
        let mut body = self.body();
        if self.random.percent(25) {
            body.push_str(self.random.pick(&[
                "return\n",
                "return 1\n",
                "[[ $1 ]] || return 0\nB=$1\n",
                "shift\nC=(\"$@\")\n",
            ]));
        }
        self.in_function = outer;
        self.in_loop = in_loop;
        // Neither calls the other nor itself.
        let head = self
            .random
            .pick(&["NAME()", "NAME ()", "function NAME", "function NAME()"])
            .replace("NAME", name);
        let arguments: Vec<String> = (0..self.random.below(4)).map(|_| self.word(Place::Listed)).collect();
        let call = format!("{name} {}", arguments.join(" "));
        format!("{head} {{\n{body}}}\n{}", call.trim_end())
    }

    fn printf(&mut self) -> String {
        let format = self.random.pick(&[
            "%s", "'%s-%s '", "%d", "'%03d'", "'%q'", "'%b'", "%x", "'%-5s|'", "'%5s'", "'%.2s'", "'a\\tb'",
            "'%%'", "'%s\\n'", "%o", "'%c'",
        ]);
        let value = match format {
            "%d" | "'%03d'" | "%x" | "%o" => format!("{} $I", self.small()),
            _ => self.word(Place::Listed),
        };
        format!("printf -v {} {format} {value}", self.random.pick(&["A", "B", "C", "D", "A[1]"]))
    }

    /// A few splits with another IFS, which is given back.
    fn with_separator(&mut self) -> String {
        let separator = self.random.pick(&[":", ",", "' :'", "''", "$'\\n'", "/", "a", "$': \\t'"]);
        let name = self.name();
        let list = self.word(Place::Listed);
        let statements = self.random.pick(&[
            "X=($A)",
            "X=(L)",
            "B=\"${X[*]}\"",
            "B=${X[*]}",
            "X=(L \"$B\" $C)",
            "for x in L; do X+=(\"$x\"); done",
        ]);
        format!("IFS={separator}\n{}\nunset IFS", statements.replace('X', name).replace('L', &list))
    }
}
