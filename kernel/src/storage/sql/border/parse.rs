//! From text to one parsed statement, within bounds that keep every later step safe.
//!
//! The tokens are checked before the parser sees them: exactly the tokens that plugin SQL needs, placeholders `$1..$k`
//! without gaps, and few enough operators that no tree can be deep enough to exhaust a stack.

use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, TokenizerError};

use super::refusal::{Place, Refusal, RefusalKind};

/// Bytes. A page of SQL is 3 KB; a thousand inserted rows of five values are 30 KB.
const LONGEST_TEXT: usize = 128 * 1024;
/// Keywords and operators. Each can add one level to the tree, and trees are walked and dropped recursively.
const MOST_OPERATORS: usize = 2_000;
const DEEPEST_PARSE: usize = 60;
/// With the store's own as many as the SQLite connections take: see `LIMITS` in `sqlite/wall.rs`.
pub(super) const MOST_ARGUMENTS: usize = 1_999;

pub(super) struct Parsed {
    pub statement: Statement,
    /// k
    pub arguments: usize,
}

pub(super) fn one_statement(text: &str) -> Result<Parsed, Refusal> {
    let tokens = tokens(text)?;
    let arguments = placeholders(&tokens)?;
    let statements = Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(DEEPEST_PARSE)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(not_sql)?;
    let mut statements = statements.into_iter();
    match (statements.next(), statements.next()) {
        (Some(statement), None) => Ok(Parsed { statement, arguments }),
        (None, _) => Err(Refusal::new(RefusalKind::Syntax, "there is no statement in this text")),
        (Some(_), Some(_)) => Err(Refusal::new(
            RefusalKind::Syntax,
            "there is more than one statement in this text: send one at a time",
        )),
    }
}

/// The tokens of a text, all of them of a sort that plugin SQL may use.
pub(super) fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, Refusal> {
    if text.len() > LONGEST_TEXT {
        return Err(Refusal::new(
            RefusalKind::TooLarge,
            format!(
                "the text has {} bytes and {LONGEST_TEXT} are allowed: pass rows as one JSON argument with json_rows",
                text.len()
            ),
        ));
    }
    // Neither engine can hold it in text, and what follows it would be cut off on one of them.
    if text.contains('\0') {
        return Err(Refusal::new(RefusalKind::Syntax, "the text contains a zero byte"));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .tokenize_with_location()
        .map_err(not_tokens)?;
    let mut operators = 0;
    for token in &tokens {
        if is_operator(&token.token) {
            operators += 1;
        }
        accept(&token.token).map_err(|refusal| refusal.within(token.span))?;
    }
    if operators > MOST_OPERATORS {
        return Err(Refusal::new(
            RefusalKind::TooLarge,
            format!("the statement has {operators} keywords and operators and {MOST_OPERATORS} are allowed"),
        ));
    }
    Ok(tokens)
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Comma
        | Token::Whitespace(_)
        | Token::LParen
        | Token::RParen
        | Token::Period
        | Token::Placeholder(_) => false,
        _ => true,
    }
}

fn accept(token: &Token) -> Result<(), Refusal> {
    match token {
        Token::Word(word) if matches!(word.quote_style, None | Some('"')) => Ok(()),
        Token::EOF
        | Token::Whitespace(_)
        | Token::Number(_, false)
        | Token::SingleQuotedString(_)
        | Token::Placeholder(_)
        | Token::Comma
        | Token::SemiColon
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::Eq
        | Token::Neq
        | Token::Lt
        | Token::Gt
        | Token::LtEq
        | Token::GtEq
        | Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::DoubleColon
        | Token::Arrow
        | Token::LongArrow => Ok(()),
        Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::HexStringLiteral(_) => Err(Refusal::not_allowed(format!(
            "the string {token} is refused: write '…' with quotes doubled, or pass an argument"
        ))),
        Token::Question | Token::Colon | Token::AtSign => Err(Refusal::new(
            RefusalKind::Parameters,
            format!("`{token}` is refused: arguments are written $1, $2, …"),
        )),
        _ => Err(Refusal::not_allowed(format!("`{token}` is not part of plugin SQL"))),
    }
}

/// k, where the placeholders are exactly `$1..$k`.
///
/// A driver may ignore surplus arguments or make missing ones NULL, and then the store's number, which follows the
/// plugin's arguments, could be one of the plugin's own.
fn placeholders(tokens: &[TokenWithSpan]) -> Result<usize, Refusal> {
    let mut seen = Vec::new();
    for token in tokens {
        let Token::Placeholder(written) = &token.token else {
            continue;
        };
        let number = number_of(written).ok_or_else(|| {
            Refusal::new(
                RefusalKind::Parameters,
                format!("`{written}` is refused: arguments are written $1, $2, …"),
            )
            .within(token.span)
        })?;
        if seen.len() < number {
            seen.resize(number, false);
        }
        seen[number - 1] = true;
    }
    match seen.iter().position(|used| !used) {
        None => Ok(seen.len()),
        Some(gap) => Err(Refusal::new(
            RefusalKind::Parameters,
            format!(
                "${} is used but ${} is not: number the arguments without gaps",
                seen.len(),
                gap + 1
            ),
        )),
    }
}

/// 1 for `$1`; nothing for `$0`, `$01`, `$x` and what is out of bounds.
pub(super) fn number_of(placeholder: &str) -> Option<usize> {
    let digits = placeholder.strip_prefix('$')?;
    let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| plain)?;
    (1..=MOST_ARGUMENTS).contains(&number).then_some(number)
}

fn not_tokens(error: TokenizerError) -> Refusal {
    Refusal {
        kind: RefusalKind::Syntax,
        message: error.message,
        at: Place::of(error.location),
    }
}

fn not_sql(error: ParserError) -> Refusal {
    match error {
        ParserError::RecursionLimitExceeded => Refusal::new(
            RefusalKind::TooLarge,
            "the statement is nested too deeply: split it with common table expressions",
        ),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            Refusal::new(RefusalKind::Syntax, message)
        }
    }
}
