//! The macros over lists, maps and sets.

use std::ops::Range;

use super::{Checker, Local, with_article};
use crate::ruleset::cel::Type;
use crate::ruleset::cel::node::{Comprehension, Node, NodeKind, Quantity};
use crate::ruleset::cel::syntax::{Expr, ExprKind};
use crate::ruleset::cel::value::Value;

impl Checker<'_> {
    pub(super) fn comprehension(&mut self, name: &str, target: &Expr, args: &[Expr], span: &Range<usize>) -> Node {
        let range = self.node(target);
        let (variable, test, result) = match (name, args) {
            ("map", [variable, result]) => (variable, None, Some(result)),
            ("map", [variable, test, result]) => (variable, Some(test), Some(result)),
            ("all" | "exists" | "exists_one" | "existsOne" | "filter", [variable, test]) => {
                (variable, Some(test), None)
            }
            _ => {
                let form = if name == "map" { "`.map(x, RESULT)`" } else { "a variable and a condition" };
                let message = format!("`{name}` takes {form}, and here are {} arguments", args.len());
                return self.error("argument-count", span, message);
            }
        };
        let ExprKind::Name(variable_name) = &variable.kind else {
            return self.error(
                "syntax",
                &variable.span,
                format!("the first argument of `{name}` is a variable's name"),
            );
        };
        let member = match &range.ty {
            Type::List(element) => (**element).clone(),
            Type::Map(key, _) => (**key).clone(),
            Type::Set(element) => Type::Hashed(*element),
            Type::Dyn => Type::Dyn,
            Type::Faulty => Type::Faulty,
            ty => {
                let message = format!("`{name}` goes through a list, map or set, and this is {}", with_article(ty));
                return self.error("wrong-type", &target.span, message);
            }
        };
        self.want_contents(&range);
        let local = self.locals.len();
        self.locals.push(Local { name: variable_name.clone(), ty: member.clone() });
        let test = match test {
            Some(test) => self.condition(test),
            None => Node::new(NodeKind::Constant(Value::Bool(true)), Type::Bool),
        };
        let result = result.map(|result| self.member(result));
        self.locals.truncate(local);
        let (quantity, ty) = match name {
            "all" => (Quantity::All, Type::Bool),
            "exists" => (Quantity::Exists, Type::Bool),
            "exists_one" | "existsOne" => (Quantity::ExistsOne, Type::Bool),
            _ => (Quantity::Collect, Type::list(result.as_ref().map_or(member, |result| result.ty.clone()))),
        };
        let comprehension = Comprehension { quantity, range, local, test, result };
        Node::new(NodeKind::Comprehension(Box::new(comprehension)), ty)
    }
}
