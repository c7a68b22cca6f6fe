//! Operators.

use super::*;

impl Lowerer<'_> {
    pub(super) fn negate(&mut self, pos: PosId, operand: &ast::Expr<'_>, position: Position) -> Result<Expr> {
        let known = crate::symbol::known();
        let zero = Expr::Value(Value::leaked_int(0));
        if self.is_shadowed(known.sub) {
            let operand = self.expr(operand, Delayed)?;
            return self.call_operator(known.sub, [zero, operand], pos);
        }
        let right = self.expr(operand, position)?;
        Ok(Expr::Subtract(self.heap.object(Binary { left: zero, right, pos, left_pos: pos, right_pos: pos })))
    }

    pub(super) fn call_operator(
        &mut self,
        operator: Symbol,
        operands: [Expr; 2],
        pos: PosId,
    ) -> Result<Expr> {
        let function = self.implied_variable(operator, pos)?;
        let arguments = self.heap.slice(&operands);
        Ok(Expr::Call(self.heap.object(Call { function, arguments, pos })))
    }

    pub(super) fn binary(
        &mut self,
        at: Operands,
        op: BinaryOp,
        left: &ast::Expr<'_>,
        right: &ast::Expr<'_>,
        position: Position,
    ) -> Result<Expr> {
        use BinaryOp as O;
        let pos = at.pos;
        let known = crate::symbol::known();
        match op {
            O::Less => return self.comparison(pos, left, right, false, position),
            O::Greater => return self.comparison(pos, right, left, false, position),
            O::LessEqual => return self.comparison(pos, right, left, true, position),
            O::GreaterEqual => return self.comparison(pos, left, right, true, position),
            _ => {}
        }
        let builtin = match op {
            O::Subtract => Some(known.sub),
            O::Multiply => Some(known.mul),
            O::Divide => Some(known.div),
            _ => None,
        };
        if let Some(operator) = builtin.filter(|&operator| self.is_shadowed(operator)) {
            let operands = [self.expr(left, Delayed)?, self.expr(right, Delayed)?];
            return self.call_operator(operator, operands, pos);
        }
        let (left_pos, right_pos) = match op {
            O::Add => (at.left, at.right),
            _ => (self.place(left), self.place(right)),
        };
        let left = self.expr(left, position)?;
        let right = self.expr(right, position)?;
        let binary = self.heap.object(Binary { left, right, pos, left_pos, right_pos });
        Ok(match op {
            O::Equal => Expr::Equal(binary),
            O::NotEqual => Expr::NotEqual(binary),
            O::And => Expr::And(binary),
            O::Or => Expr::Or(binary),
            O::Implies => Expr::Implies(binary),
            O::Update => Expr::Update(binary),
            O::Concat => Expr::Concat(binary),
            O::Add => Expr::Add(binary),
            O::Subtract => Expr::Subtract(binary),
            O::Multiply => Expr::Multiply(binary),
            O::Divide => Expr::Divide(binary),
            O::Less | O::Greater | O::LessEqual | O::GreaterEqual => unreachable!("returned above"),
        })
    }

    pub(super) fn comparison(
        &mut self,
        pos: PosId,
        left: &ast::Expr<'_>,
        right: &ast::Expr<'_>,
        negate: bool,
        position: Position,
    ) -> Result<Expr> {
        let operator = crate::symbol::known().less_than;
        if self.is_shadowed(operator) {
            let operands = [self.expr(left, Delayed)?, self.expr(right, Delayed)?];
            let operand = self.call_operator(operator, operands, pos)?;
            return Ok(match negate {
                true => Expr::Not(self.heap.object(Unary { operand, pos })),
                false => operand,
            });
        }
        let left = self.expr(left, position)?;
        let right = self.expr(right, position)?;
        Ok(Expr::Less(self.heap.object(Comparison { left, right, pos, negate })))
    }
}
