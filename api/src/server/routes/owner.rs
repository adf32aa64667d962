//! Only the token that created a thing, or one with scope `admin`, may change it.

use crate::server::app::Caller;
use crate::server::problem::{Kind, Problem};
use crate::server::tokens::Scope;

/// Refuses a caller that neither created it nor has scope `admin`. `made_by` is none if it does not exist or no
/// token created it: the response is the same in all these cases.
pub(super) fn check(caller: &Caller, made_by: Option<&str>, what: &str) -> Result<(), Problem> {
    let is_own = caller.token.is_some() && caller.token.as_deref() == made_by;
    if is_own || caller.may(Scope::Admin) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Scope,
        format!(
            "Only the token that created this {what}, or a token with scope `admin`, may change it: use one of these."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tokens::Scopes;

    fn caller(token: Option<&str>, scopes: impl IntoIterator<Item = Scope>) -> Caller {
        Caller {
            token: token.map(str::to_owned),
            scopes: Scopes::new(scopes),
        }
    }

    #[test]
    fn only_the_maker_and_administrators_change_it() {
        let asks = |token, scope, made_by| check(&caller(token, [scope]), made_by, "pin").is_ok();
        assert!(asks(Some("a"), Scope::Preheat, Some("a")));
        assert!(asks(Some("b"), Scope::Admin, Some("a")));
        assert!(asks(Some("b"), Scope::Admin, None));
        for stranger in [Scope::Preheat, Scope::Read] {
            assert!(!asks(Some("b"), stranger, Some("a")), "{stranger}");
            assert!(
                !asks(Some("b"), stranger, None),
                "{stranger}: nobody's is not theirs"
            );
            assert!(!asks(None, stranger, None), "{stranger}: two who are nobody");
        }
    }
}
