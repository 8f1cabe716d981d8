//! The operators between two operands.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

impl Operator {
    /// The higher, the tighter.
    fn precedence(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And => 1,
            Self::BitOr => 2,
            Self::BitXor => 3,
            Self::BitAnd => 4,
            Self::Equal | Self::NotEqual => 5,
            Self::LessOrEqual | Self::GreaterOrEqual | Self::Less | Self::Greater => 6,
            Self::ShiftLeft | Self::ShiftRight => 7,
            Self::Add | Self::Subtract => 8,
            Self::Multiply | Self::Divide | Self::Remainder => 9,
            Self::Power => 10,
        }
    }

    /// Whether it takes the operand between it and the next one. All but `**` group from the left.
    pub(super) fn comes_before(self, next: Option<Self>) -> bool {
        match next {
            None => true,
            Some(Self::Power) => false,
            Some(next) => self.precedence() >= next.precedence(),
        }
    }
}

/// The result. In a part that does not count (not `live`) 1 stands in for a divisor that is 0.
pub(super) fn apply(operator: Operator, left: i64, right: i64, live: bool) -> Result<i64, &'static str> {
    Ok(match operator {
        Operator::Or => i64::from(left != 0 || right != 0),
        Operator::And => i64::from(left != 0 && right != 0),
        Operator::BitOr => left | right,
        Operator::BitXor => left ^ right,
        Operator::BitAnd => left & right,
        Operator::Equal => i64::from(left == right),
        Operator::NotEqual => i64::from(left != right),
        Operator::LessOrEqual => i64::from(left <= right),
        Operator::GreaterOrEqual => i64::from(left >= right),
        Operator::Less => i64::from(left < right),
        Operator::Greater => i64::from(left > right),
        Operator::ShiftLeft => left << (right & 63),
        Operator::ShiftRight => left >> (right & 63),
        Operator::Add => left.wrapping_add(right),
        Operator::Subtract => left.wrapping_sub(right),
        Operator::Multiply => left.wrapping_mul(right),
        Operator::Divide | Operator::Remainder => {
            let right = match right {
                0 if live => return Err("division by 0"),
                0 => 1,
                right => right,
            };
            if operator == Operator::Divide { left.wrapping_div(right) } else { left.wrapping_rem(right) }
        }
        Operator::Power if right < 0 => return Err("exponent less than 0"),
        Operator::Power => power(left, right),
    })
}

fn power(mut base: i64, mut exponent: i64) -> i64 {
    let mut result = 1i64;
    while exponent != 0 {
        if exponent & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    result
}
