//! What a `JSONata` expression calls and reads, found without running it.

use std::collections::BTreeSet;

/// The functions that an expression may call: those of `JSONata` that the evaluator has and that give the same
/// answer every time. The clock and chance (`$now`, `$millis`, `$random`, `$uuid`) are refused, because the
/// runner's time is the environment's and a test has to be repeatable.
pub(crate) const FUNCTIONS: [&str; 46] = [
    "abs",
    "append",
    "assert",
    "base64decode",
    "base64encode",
    "boolean",
    "ceil",
    "contains",
    "count",
    "distinct",
    "each",
    "error",
    "exists",
    "filter",
    "floor",
    "fromMillis",
    "join",
    "keys",
    "length",
    "lookup",
    "lowercase",
    "map",
    "match",
    "max",
    "merge",
    "min",
    "not",
    "number",
    "power",
    "reduce",
    "replace",
    "reverse",
    "round",
    "single",
    "sort",
    "split",
    "sqrt",
    "string",
    "substring",
    "substringAfter",
    "substringBefore",
    "sum",
    "toMillis",
    "trim",
    "uppercase",
    "zip",
];

/// What an expression mentions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Mentions {
    /// Names that are called, as `$name(`, and functions that are handed on, as in `$list ~> $sort`.
    pub(crate) calls: BTreeSet<String>,
    /// `$name` that is neither a function of `JSONata` nor bound within the expression: variables of the workflow.
    pub(crate) variables: BTreeSet<String>,
    /// `x` of every `$states.x`.
    pub(crate) states_fields: BTreeSet<String>,
    /// Whether a function is defined within the expression.
    pub(crate) defines_functions: bool,
}

/// Reads the expression's tokens, skipping strings, quoted names and comments.
pub(crate) fn scan(expression: &str) -> Mentions {
    let tokens = tokens(expression);
    let mut mentions = Mentions::default();
    let mut names = BTreeSet::new();
    let mut bound = BTreeSet::new();
    let mut parameters = false;
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| tokens.get(index));
        let after = tokens.get(index + 1);
        match token {
            Token::Word(word)
                if matches!(word.as_str(), "function" | "λ") && after == Some(&Token::Sign('(')) =>
            {
                mentions.defines_functions = true;
                parameters = true;
            }
            Token::Sign(')') => parameters = false,
            Token::Variable(name) => {
                let binds = after == Some(&Token::Bind)
                    || parameters
                    || matches!(before, Some(Token::Sign('@' | '#')));
                if binds {
                    bound.insert(name.clone());
                } else if after == Some(&Token::Sign('(')) {
                    mentions.calls.insert(name.clone());
                } else if name == "states" {
                    if let (Some(Token::Sign('.')), Some(Token::Word(field))) = (after, tokens.get(index + 2))
                    {
                        mentions.states_fields.insert(field.clone());
                    }
                } else {
                    names.insert(name.clone());
                }
            }
            Token::Word(_) | Token::Bind | Token::Sign(_) => {}
        }
    }
    mentions.calls.retain(|name| !bound.contains(name));
    names.retain(|name| !bound.contains(name));
    let is_function = |name: &String| FUNCTIONS.contains(&name.as_str());
    let (handed_on, variables): (BTreeSet<_>, _) = names.into_iter().partition(is_function);
    mentions.calls.extend(handed_on);
    mentions.variables = variables;
    mentions
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// `$name`, without the dollar; `$` and `$$` are left out.
    Variable(String),
    Word(String),
    /// `:=`
    Bind,
    Sign(char),
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = expression.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' | '\'' | '`' => {
                while let Some(inner) = characters.next() {
                    if inner == '\\' && character != '`' {
                        characters.next();
                    } else if inner == character {
                        break;
                    }
                }
            }
            '/' if characters.peek() == Some(&'*') => {
                characters.next();
                let mut last = ' ';
                for inner in characters.by_ref() {
                    if last == '*' && inner == '/' {
                        break;
                    }
                    last = inner;
                }
            }
            '$' => {
                let name = word(&mut characters);
                if !name.is_empty() {
                    tokens.push(Token::Variable(name));
                }
            }
            ':' if characters.peek() == Some(&'=') => {
                characters.next();
                tokens.push(Token::Bind);
            }
            character if character.is_whitespace() => {}
            character if is_word(character) => {
                let mut text = String::from(character);
                text.push_str(&word(&mut characters));
                tokens.push(Token::Word(text));
            }
            character => tokens.push(Token::Sign(character)),
        }
    }
    tokens
}

fn word(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut text = String::new();
    while let Some(character) = characters.next_if(|character| is_word(*character)) {
        text.push(character);
    }
    text
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn sorted(names: &BTreeSet<String>) -> Vec<&str> {
        names.iter().map(String::as_str).collect()
    }

    #[rstest]
    #[case("$batch + $states.result.Payload.next", &["batch"], &[], &["result"])]
    #[case("$not($opened)", &["opened"], &["not"], &[])]
    #[case("$ states . input", &[], &[], &[])]
    #[case("$states . input.a", &[], &[], &["input"])]
    #[case("'$no' & \"$neither\" & `$nor` /* $never */", &[], &[], &[])]
    #[case(r#""a \" $still" & $b"#, &["b"], &[], &[])]
    #[case("($x := $y; $x * 2)", &["y"], &[], &[])]
    #[case("$map($list, function($v, $i) { $v + $i + $z })", &["list", "z"], &["map"], &[])]
    #[case("$list ~> $count", &["list"], &["count"], &[])]
    #[case("($f := function($a){$a}; $f(1))", &[], &[], &[])]
    #[case("$now()", &[], &["now"], &[])]
    #[case("$ = $$", &[], &[], &[])]
    fn finds_what_an_expression_mentions(
        #[case] expression: &str,
        #[case] variables: &[&str],
        #[case] calls: &[&str],
        #[case] fields: &[&str],
    ) {
        let mentions = scan(expression);
        assert_eq!(sorted(&mentions.variables), variables, "variables");
        assert_eq!(sorted(&mentions.calls), calls, "calls");
        assert_eq!(sorted(&mentions.states_fields), fields, "fields of $states");
    }
}
