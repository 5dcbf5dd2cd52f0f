use std::collections::HashMap;
use std::fmt;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Map(HashMap<String, Value>),
}

#[derive(Debug)]
pub struct ParseError {
    pub line: usize,
    pub column: usize,
    reason: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for ParseError {}

pub struct Parser<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, column: 1 }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub fn list(&mut self) -> Result<Vec<Value>, ParseError> {
        let mut items = Vec::new();
        while let Some(c) = self.peek() {
            match c {
                ']' => return Ok(items),
                ',' => self.advance(1),
                c if c.is_whitespace() => self.advance(c.len_utf8()),
                _ => items.push(self.value()?),
            }
        }
        Err(self.error("the list is not closed"))
    }
}
