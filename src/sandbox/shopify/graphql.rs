//! As much GraphQL as a client that pulls needs: one operation with variables, fields with aliases and arguments, inline
//! fragments. Named fragments and directives are refused.

use serde_json::{Map, Value};

/// A field of a selection.
#[derive(Debug)]
pub(super) struct Field {
    /// As it is called in the answer.
    pub alias: String,
    pub name: String,
    /// With the variables filled in.
    pub arguments: Map<String, Value>,
    /// Empty for a scalar.
    pub fields: Vec<Field>,
}

impl Field {
    /// An argument that is there and not null.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.get(name).filter(|v| !v.is_null())
    }
}

/// An operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub is_mutation: bool,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(String),
    Mark(char),
}

/// Selections within each other, at most.
const DEPTH: usize = 20;

/// Reads a document; the error is the vendor's kind of words.
pub(super) fn parse(text: &str, variables: &Value) -> Result<Operation, String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, variables, defaults: Map::new(), depth: 0 };
    let is_mutation = match reader.next() {
        Some(Token::Name(word)) if word == "query" => false,
        Some(Token::Name(word)) if word == "mutation" => true,
        Some(Token::Mark('{')) => {
            reader.at -= 1;
            false
        }
        other => return Err(unexpected(other.as_ref())),
    };
    if matches!(reader.peek(), Some(Token::Name(_))) {
        reader.at += 1;
    }
    if reader.eats('(') {
        reader.definitions()?;
    }
    let fields = reader.selection()?;
    match reader.next() {
        None => Ok(Operation { is_mutation, fields }),
        other => Err(unexpected(other.as_ref())),
    }
}

fn unexpected(token: Option<&Token>) -> String {
    match token {
        None => "syntax error, unexpected end of file".to_owned(),
        Some(Token::Name(text) | Token::Number(text)) => format!("syntax error, unexpected {text}"),
        Some(Token::Text(_)) => "syntax error, unexpected string".to_owned(),
        Some(Token::Mark(mark)) => format!("syntax error, unexpected {mark}"),
    }
}

struct Reader<'a> {
    tokens: Vec<Token>,
    at: usize,
    variables: &'a Value,
    /// Declared variables with their defaults.
    defaults: Map<String, Value>,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }
    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }
    fn eats(&mut self, mark: char) -> bool {
        let is_it = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(is_it);
        is_it
    }
    fn expect(&mut self, mark: char) -> Result<(), String> {
        if self.eats(mark) { Ok(()) } else { Err(unexpected(self.peek())) }
    }
    fn name(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(unexpected(other.as_ref())),
        }
    }

    /// `$first: Int! = 50, …)`
    fn definitions(&mut self) -> Result<(), String> {
        while !self.eats(')') {
            self.expect('$')?;
            let name = self.name()?;
            self.expect(':')?;
            let mut brackets = 0;
            while self.eats('[') {
                brackets += 1;
            }
            self.name()?;
            let mut is_needed = self.eats('!');
            for _ in 0..brackets {
                self.expect(']')?;
                is_needed = self.eats('!');
            }
            let default = if self.eats('=') { Some(self.value()?) } else { None };
            let is_given = self.variables.get(&name).is_some_and(|v| !v.is_null());
            if is_needed && !is_given && default.is_none() {
                return Err(format!("Variable ${name} was provided invalid value"));
            }
            self.defaults.insert(name, default.unwrap_or(Value::Null));
        }
        Ok(())
    }

    fn selection(&mut self) -> Result<Vec<Field>, String> {
        self.expect('{')?;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("Query is nested too deeply".to_owned());
        }
        let mut fields = Vec::new();
        while !self.eats('}') {
            if self.eats('.') {
                self.expect('.')?;
                self.expect('.')?;
                if self.name()? != "on" {
                    return Err("named fragments are not understood here".to_owned());
                }
                self.name()?;
                fields.append(&mut self.selection()?);
                continue;
            }
            let mut name = self.name()?;
            let alias = name.clone();
            if self.eats(':') {
                name = self.name()?;
            }
            let arguments = if self.eats('(') { self.arguments(')')? } else { Map::new() };
            let has_fields = self.peek() == Some(&Token::Mark('{'));
            let fields_below = if has_fields { self.selection()? } else { Vec::new() };
            fields.push(Field { alias, name, arguments, fields: fields_below });
        }
        self.depth -= 1;
        if fields.is_empty() { Err("syntax error, unexpected }".to_owned()) } else { Ok(fields) }
    }

    /// Names with values, up to the closing mark.
    fn arguments(&mut self, end: char) -> Result<Map<String, Value>, String> {
        let mut arguments = Map::new();
        while !self.eats(end) {
            let name = self.name()?;
            self.expect(':')?;
            arguments.insert(name, self.value()?);
        }
        Ok(arguments)
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text.into()),
            Some(Token::Number(text)) => serde_json::from_str(&text).map_err(|_| format!("{text} is not a number")),
            Some(Token::Name(word)) => Ok(match word.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                "null" => Value::Null,
                _ => word.into(),
            }),
            Some(Token::Mark('$')) => {
                let name = self.name()?;
                let Some(default) = self.defaults.get(&name) else {
                    return Err(format!("Variable ${name} is used but not declared"));
                };
                Ok(self.variables.get(&name).unwrap_or(default).clone())
            }
            Some(Token::Mark('[')) => {
                let mut list = Vec::new();
                while !self.eats(']') {
                    list.push(self.value()?);
                }
                Ok(list.into())
            }
            Some(Token::Mark('{')) => Ok(self.arguments('}')?.into()),
            other => Err(unexpected(other.as_ref())),
        }
    }
}

/// Cuts the text; commas and comments are blanks, as in GraphQL.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '#' => while rest.next().is_some_and(|c| c != '\n') {},
            c if c.is_whitespace() || c == ',' || c == '\u{feff}' => {}
            '"' => {
                let mut text = String::new();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some('n') => text.push('\n'),
                            Some('t') => text.push('\t'),
                            Some(other) => text.push(other),
                            None => return Err("unterminated string".to_owned()),
                        },
                        Some(other) => text.push(other),
                        None => return Err("unterminated string".to_owned()),
                    }
                }
                tokens.push(Token::Text(text));
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let mut name = String::from(c);
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                tokens.push(Token::Name(name));
            }
            c if c.is_ascii_digit() || c == '-' => {
                let mut number = String::from(c);
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-')) {
                    number.push(c);
                }
                tokens.push(Token::Number(number));
            }
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '$' | '!' | '=' | '.' => tokens.push(Token::Mark(c)),
            other => return Err(format!("syntax error, unexpected {other}")),
        }
    }
    Ok(tokens)
}
