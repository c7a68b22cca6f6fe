//! Functions: their arguments, patterns and bodies.

use super::*;

impl Lowerer<'_> {
    pub(super) fn lambda(&mut self, lambda: &ast::Lambda<'_>, name: Option<Symbol>) -> Result<Expr> {
        let mut chain = vec![lambda];
        while let (None, ast::Expr::Lambda(inner)) =
            (&chain[chain.len() - 1].pattern, chain[chain.len() - 1].body)
        {
            chain.push(inner);
        }
        let outer = self.bindings.len();
        self.frames.push(Frame { next: 0, size: 0 });
        let built = self.parameters_and_body(&chain, name);
        let size = self.frames.pop().map_or(0, |frame| frame.size);
        self.unbind_to(outer, chain.iter().flat_map(|lambda| parameter_names(lambda)));
        let (parameters, body) = built?;
        Ok(Expr::Lambda(Lambda::new(parameters, size, body, name, self.heap)))
    }

    pub(super) fn parameters_and_body(
        &mut self,
        chain: &[&ast::Lambda<'_>],
        name: Option<Symbol>,
    ) -> Result<(Vec<Parameter>, Expr)> {
        self.new_level();
        self.claim(chain.len());
        let mut base = 0;
        for (slot, lambda) in chain.iter().enumerate() {
            if let Some(name) = lambda.argument {
                self.bind(name, slot as u32);
            }
            if let Some(pattern) = &lambda.pattern {
                base = self.claim(pattern.formals.len());
                for (index, formal) in self.by_symbol(pattern).into_iter().enumerate() {
                    self.bind(formal.name, base + index as u32);
                }
            }
        }
        let mut parameters = Vec::with_capacity(chain.len());
        for lambda in chain {
            let pattern = lambda.pattern.as_ref().map(|pattern| self.pattern(pattern, base)).transpose()?;
            let name = lambda.argument.map(|name| self.symbol(name));
            parameters.push(Parameter { pos: self.at(lambda.pos), name, pattern, needed_at: None });
        }
        let body = match chain[chain.len() - 1].body {
            ast::Expr::Lambda(inner) => self.lambda(inner, name)?,
            body => self.expr(body, Strict)?,
        };
        let pos = self.at(chain[chain.len() - 1].pos);
        Ok((parameters, self.marked(body, What::Function(name), pos)))
    }

    /// The formals in the order of their symbols: that in which Nix looks for arguments and binds defaults.
    fn by_symbol<'t>(&self, pattern: &ast::Pattern<'t>) -> Vec<&'t ast::Formal<'t>> {
        let mut formals: Vec<&ast::Formal<'_>> = pattern.formals.iter().collect();
        formals.sort_by_key(|formal| self.symbol(formal.name));
        formals
    }

    pub(super) fn pattern(&mut self, pattern: &ast::Pattern<'_>, base: u32) -> Result<Pattern> {
        let mut formals = Vec::with_capacity(pattern.formals.len());
        for formal in self.by_symbol(pattern) {
            let default = formal.default.map(|default| self.expr(default, Delayed)).transpose()?;
            formals.push(Formal {
                name: self.symbol(formal.name),
                pos: self.at(formal.pos),
                default,
                hint: Hint::default(),
            });
        }
        Ok(Pattern { formals: self.heap.slice_from(formals), base, ellipsis: pattern.ellipsis })
    }
}
