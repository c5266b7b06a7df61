//! As much SOQL as a client that pulls needs: `SELECT … FROM … WHERE … ORDER BY … LIMIT …`, with comparisons joined by
//! `AND` and `OR`, and lists of what belongs to a record: `(SELECT … FROM OrderItems)`.

use std::cmp::Ordering;

use serde_json::Value;

use crate::sandbox::stamp;

/// A query.
#[derive(Debug)]
pub(super) struct Query {
    pub fields: Vec<String>,
    pub object: String,
    pub condition: Option<Condition>,
    /// Fields, and whether each is descending.
    pub order: Vec<(String, bool)>,
    pub limit: Option<usize>,
    /// What belongs to each record, of which only fields are chosen: the object in the plural.
    pub below: Vec<(Vec<String>, String)>,
}

/// What a record must be like.
#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Compare { field: String, operator: String, values: Vec<Literal> },
}

/// A value as it is written.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    Text(String),
    Instant(i64),
    Number(f64),
    Truth(bool),
    Null,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Mark(String),
}

/// Conditions within each other, at most.
const DEPTH: usize = 20;

/// Reads a query; the error is in the vendor's kind of words.
pub(super) fn read(text: &str) -> Result<Query, String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, depth: 0 };
    reader.keyword("SELECT")?;
    let (mut fields, mut below) = (Vec::new(), Vec::new());
    loop {
        if reader.eats("(") {
            below.push(reader.below()?);
        } else {
            fields.push(reader.word()?);
        }
        if !reader.eats(",") {
            break;
        }
    }
    reader.keyword("FROM")?;
    let object = reader.word()?;
    let condition = if reader.has("WHERE") { Some(reader.condition()?) } else { None };
    let mut order = Vec::new();
    if reader.has("ORDER") {
        reader.keyword("BY")?;
        loop {
            let field = reader.word()?;
            let is_down = !reader.has("ASC") && reader.has("DESC");
            if reader.has("NULLS") {
                reader.word()?;
            }
            order.push((field, is_down));
            if !reader.eats(",") {
                break;
            }
        }
    }
    let limit = if reader.has("LIMIT") { Some(reader.word()?.parse().map_err(|_| "invalid LIMIT")?) } else { None };
    match reader.peek() {
        None => Ok(Query { fields, object, condition, order, limit, below }),
        Some(token) => Err(format!("unexpected token: {}", shown(token))),
    }
}

fn shown(token: &Token) -> &str {
    match token {
        Token::Word(text) | Token::Text(text) | Token::Mark(text) => text,
    }
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }
    fn unexpected(&self) -> String {
        self.peek().map_or_else(|| "unexpected end of query".to_owned(), |t| format!("unexpected token: {}", shown(t)))
    }
    fn eats(&mut self, mark: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Mark(m)) if m == mark);
        self.at += usize::from(is_it);
        is_it
    }
    /// Takes the word if it is next.
    fn has(&mut self, word: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }
    fn keyword(&mut self, word: &str) -> Result<(), String> {
        if self.has(word) { Ok(()) } else { Err(self.unexpected()) }
    }
    fn word(&mut self) -> Result<String, String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `SELECT … FROM OrderItems)`
    fn below(&mut self) -> Result<(Vec<String>, String), String> {
        self.keyword("SELECT")?;
        let mut fields = vec![self.word()?];
        while self.eats(",") {
            fields.push(self.word()?);
        }
        self.keyword("FROM")?;
        let relation = self.word()?;
        if self.eats(")") { Ok((fields, relation)) } else { Err(self.unexpected()) }
    }

    fn condition(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("too many levels of conditions".to_owned());
        }
        let first = self.term()?;
        let read = match (self.peek_is("AND"), self.peek_is("OR")) {
            (true, _) => Condition::All(self.more(first, "AND")?),
            (_, true) => Condition::Any(self.more(first, "OR")?),
            _ => first,
        };
        self.depth -= 1;
        Ok(read)
    }
    fn peek_is(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word))
    }
    /// `AND` and `OR` stand beside each other only in brackets.
    fn more(&mut self, first: Condition, word: &str) -> Result<Vec<Condition>, String> {
        let mut all = vec![first];
        while self.has(word) {
            all.push(self.term()?);
        }
        if self.peek_is("AND") || self.peek_is("OR") { Err(self.unexpected()) } else { Ok(all) }
    }
    fn term(&mut self) -> Result<Condition, String> {
        if self.eats("(") {
            let inner = self.condition()?;
            return if self.eats(")") { Ok(inner) } else { Err(self.unexpected()) };
        }
        let field = self.word()?;
        let operator = match self.peek().cloned() {
            Some(Token::Mark(mark)) if matches!(mark.as_str(), "=" | "!=" | "<" | "<=" | ">" | ">=") => mark,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("IN") => "IN".to_owned(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        let mut values = Vec::new();
        if operator == "IN" {
            if !self.eats("(") {
                return Err(self.unexpected());
            }
            values.push(self.literal()?);
            while self.eats(",") {
                values.push(self.literal()?);
            }
            if !self.eats(")") {
                return Err(self.unexpected());
            }
        } else {
            values.push(self.literal()?);
        }
        Ok(Condition::Compare { field, operator, values })
    }
    fn literal(&mut self) -> Result<Literal, String> {
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Word(word)) => match word.to_ascii_lowercase().as_str() {
                "null" => Literal::Null,
                "true" => Literal::Truth(true),
                "false" => Literal::Truth(false),
                // An instant needs its zone; a date alone is a midnight.
                lower => match (lower.parse::<f64>(), word.contains('T') && !zoned(word), stamp::read(word, 0)) {
                    (Ok(number), _, _) => Literal::Number(number),
                    (_, false, Some(at)) => Literal::Instant(at),
                    _ => return Err(self.unexpected()),
                },
            },
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(literal)
    }
}

fn zoned(text: &str) -> bool {
    text.ends_with('Z') || text.rsplit_once(['+', '-']).is_some_and(|(day, _)| day.contains('T'))
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            '\'' => {
                let mut text = String::new();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some('\\') => text.extend(rest.next()),
                        Some(c) => text.push(c),
                        None => return Err("unterminated string".to_owned()),
                    }
                }
                tokens.push(Token::Text(text));
            }
            '(' | ')' | ',' | '=' => tokens.push(Token::Mark(c.to_string())),
            '<' | '>' | '!' => {
                let mut mark = c.to_string();
                mark.extend(rest.next_if_eq(&'='));
                tokens.push(Token::Mark(mark));
            }
            c if c.is_ascii_alphanumeric() || c == '-' => {
                let mut word = String::from(c);
                let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '+' | '-');
                while let Some(c) = rest.next_if(is_part) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            other => return Err(format!("unexpected token: {other}")),
        }
    }
    Ok(tokens)
}

impl Condition {
    /// Whether a record is meant; `value` gives its fields.
    pub fn holds(&self, value: &dyn Fn(&str) -> Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|c| c.holds(value)),
            Self::Any(any) => any.iter().any(|c| c.holds(value)),
            Self::Compare { field, operator, values } => {
                let is = value(field);
                let order = |literal: &Literal| compare(&is, literal);
                let first = values.first().map(order);
                match operator.as_str() {
                    "IN" => values.iter().any(|v| order(v) == Some(Ordering::Equal)),
                    "=" => first == Some(Some(Ordering::Equal)),
                    "!=" => first != Some(Some(Ordering::Equal)),
                    "<" => first == Some(Some(Ordering::Less)),
                    ">" => first == Some(Some(Ordering::Greater)),
                    "<=" => matches!(first, Some(Some(Ordering::Less | Ordering::Equal))),
                    _ => matches!(first, Some(Some(Ordering::Greater | Ordering::Equal))),
                }
            }
        }
    }

    /// All fields that it asks for.
    pub fn fields(&self) -> Vec<&str> {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().flat_map(Self::fields).collect(),
            Self::Compare { field, .. } => vec![field],
        }
    }
}

/// None where the two cannot be compared.
fn compare(is: &Value, literal: &Literal) -> Option<Ordering> {
    match literal {
        Literal::Null => is.is_null().then_some(Ordering::Equal),
        Literal::Truth(truth) => Some(is.as_bool()?.cmp(truth)),
        Literal::Number(number) => is.as_f64()?.partial_cmp(number),
        Literal::Instant(at) => Some(stamp::read(is.as_str()?, 0)?.cmp(at)),
        // Ids tell upper from lower case; other text does not, but for the order that is enough.
        Literal::Text(text) => {
            let is = is.as_str()?;
            Some(if is.eq_ignore_ascii_case(text) { Ordering::Equal } else { is.cmp(text) })
        }
    }
}
