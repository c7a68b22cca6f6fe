//! Florian Loitsch's Grisu2 ("Printing Floating-Point Numbers Quickly and Accurately with Integers", 2010), with the
//! parameters of nlohmann's JSON library.
//!
//! Rust's own shortest digits will not do: where Grisu2 misses them, and for numbers such as 1e23, whose shortest form
//! lies exactly between two floats, JSON written by Nix has other digits, and they end up in store paths.

/// A floating-point number with a 64-bit significand: `significand * 2^exponent`.
#[derive(Clone, Copy)]
struct Wide {
    significand: u64,
    exponent: i32,
}

impl Wide {
    fn normalized(self) -> Wide {
        self.with_exponent(self.exponent - self.significand.leading_zeros() as i32)
    }

    /// The same number with a smaller exponent.
    fn with_exponent(self, exponent: i32) -> Wide {
        Wide { significand: self.significand << (self.exponent - exponent), exponent }
    }

    /// The product, rounded to its upper 64 bits.
    fn times(self, other: Wide) -> Wide {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let rounded = (product + (1 << 63)) >> 64;
        Wide { significand: rounded as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

/// The digits of a positive finite number, and the power of ten of the last one.
pub fn shortest(value: f64) -> (String, i32) {
    let (low, middle, high) = boundaries(value);
    let (power, decimal_exponent) = cached_power(high.exponent);
    let low = low.times(power);
    let middle = middle.times(power);
    let high = high.times(power);
    // The products are off by up to one unit in the last place: stay inside.
    let low = low.significand + 1;
    let high = Wide { significand: high.significand - 1, ..high };
    let mut digits = Digits { text: Vec::with_capacity(17), exponent: -decimal_exponent };
    digits.generate(low, middle.significand, high);
    let text = digits.text.iter().map(|&digit| char::from(b'0' + digit)).collect();
    (text, digits.exponent)
}

/// The number, and the ends of the interval of numbers that are nearer to it than to any other float, all with the
/// same exponent.
fn boundaries(value: f64) -> (Wide, Wide, Wide) {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;
    const BIAS: i32 = f64::MAX_EXP - 1 + FRACTION_BITS as i32;
    let bits = value.to_bits();
    let fraction = bits & (HIDDEN_BIT - 1);
    let biased_exponent = (bits >> FRACTION_BITS) as i32;
    let number = match biased_exponent {
        0 => Wide { significand: fraction, exponent: 1 - BIAS },
        _ => Wide { significand: fraction | HIDDEN_BIT, exponent: biased_exponent - BIAS },
    };
    let high = Wide { significand: 2 * number.significand + 1, exponent: number.exponent - 1 };
    // Below a power of two, floats are twice as dense.
    let low = match fraction == 0 && biased_exponent > 1 {
        true => Wide { significand: 4 * number.significand - 1, exponent: number.exponent - 2 },
        false => Wide { significand: 2 * number.significand - 1, exponent: number.exponent - 1 },
    };
    let high = high.normalized();
    (low.with_exponent(high.exponent), number.normalized(), high)
}

struct Digits {
    text: Vec<u8>,
    /// The power of ten of the last digit.
    exponent: i32,
}

impl Digits {
    /// Writes as few digits as put the number between `low` and `high`, which like `middle` have `high`'s exponent.
    fn generate(&mut self, low: u64, middle: u64, high: Wide) {
        let interval = high.significand - low;
        let distance = high.significand - middle;
        let fraction_bits = -high.exponent as u32;
        let one = 1u64 << fraction_bits;
        let mut whole = (high.significand >> fraction_bits) as u32;
        let mut fraction = high.significand & (one - 1);

        let mut count = whole.checked_ilog10().unwrap_or(0) as i32 + 1;
        while count > 0 {
            let power = 10u32.pow(count as u32 - 1);
            self.text.push((whole / power) as u8);
            whole %= power;
            count -= 1;
            let rest = (u64::from(whole) << fraction_bits) + fraction;
            if rest <= interval {
                self.exponent += count;
                self.round(distance, interval, rest, u64::from(power) << fraction_bits);
                return;
            }
        }
        let mut unit = 1u64;
        loop {
            fraction *= 10;
            unit *= 10;
            self.text.push((fraction >> fraction_bits) as u8);
            fraction &= one - 1;
            self.exponent -= 1;
            if fraction <= interval.saturating_mul(unit) {
                self.round(distance * unit, interval * unit, fraction, one);
                return;
            }
        }
    }

    /// Lowers the last digit while that brings the number nearer to the true one and keeps it in the interval.
    fn round(&mut self, distance: u64, interval: u64, mut rest: u64, step: u64) {
        while rest < distance
            && interval - rest >= step
            && (rest + step < distance || distance - rest > rest + step - distance)
        {
            if let Some(digit) = self.text.last_mut() {
                *digit -= 1;
            }
            rest += step;
        }
    }
}

/// A power of ten that, times a number with this binary exponent, gives an exponent between -60 and -32; and its decimal
/// exponent.
fn cached_power(exponent: i32) -> (Wide, i32) {
    const SMALLEST_EXPONENT: i32 = -60;
    let bits = SMALLEST_EXPONENT - exponent - 1;
    // 78913 / 2^18 is log10(2).
    let wanted = (bits * 78913) / (1 << 18) + i32::from(bits > 0);
    let index = (wanted - SMALLEST_POWER + POWER_STEP - 1) / POWER_STEP;
    let decimal = SMALLEST_POWER + index * POWER_STEP;
    // 217706 / 2^16 is log2(10).
    let exponent = ((decimal * 217_706) >> 16) - 63;
    (Wide { significand: POWERS[index as usize], exponent }, decimal)
}

const SMALLEST_POWER: i32 = -300;
const POWER_STEP: i32 = 8;

/// The upper 64 bits, rounded, of 10^-300, 10^-292, ..., 10^324.
#[rustfmt::skip]
const POWERS: [u64; 79] = [
    0xab70fe17c79ac6ca, 0xff77b1fcbebcdc4f, 0xbe5691ef416bd60c, 0x8dd01fad907ffc3c, 0xd3515c2831559a83,
    0x9d71ac8fada6c9b5, 0xea9c227723ee8bcb, 0xaecc49914078536d, 0x823c12795db6ce57, 0xc21094364dfb5637,
    0x9096ea6f3848984f, 0xd77485cb25823ac7, 0xa086cfcd97bf97f4, 0xef340a98172aace5, 0xb23867fb2a35b28e,
    0x84c8d4dfd2c63f3b, 0xc5dd44271ad3cdba, 0x936b9fcebb25c996, 0xdbac6c247d62a584, 0xa3ab66580d5fdaf6,
    0xf3e2f893dec3f126, 0xb5b5ada8aaff80b8, 0x87625f056c7c4a8b, 0xc9bcff6034c13053, 0x964e858c91ba2655,
    0xdff9772470297ebd, 0xa6dfbd9fb8e5b88f, 0xf8a95fcf88747d94, 0xb94470938fa89bcf, 0x8a08f0f8bf0f156b,
    0xcdb02555653131b6, 0x993fe2c6d07b7fac, 0xe45c10c42a2b3b06, 0xaa242499697392d3, 0xfd87b5f28300ca0e,
    0xbce5086492111aeb, 0x8cbccc096f5088cc, 0xd1b71758e219652c, 0x9c40000000000000, 0xe8d4a51000000000,
    0xad78ebc5ac620000, 0x813f3978f8940984, 0xc097ce7bc90715b3, 0x8f7e32ce7bea5c70, 0xd5d238a4abe98068,
    0x9f4f2726179a2245, 0xed63a231d4c4fb27, 0xb0de65388cc8ada8, 0x83c7088e1aab65db, 0xc45d1df942711d9a,
    0x924d692ca61be758, 0xda01ee641a708dea, 0xa26da3999aef774a, 0xf209787bb47d6b85, 0xb454e4a179dd1877,
    0x865b86925b9bc5c2, 0xc83553c5c8965d3d, 0x952ab45cfa97a0b3, 0xde469fbd99a05fe3, 0xa59bc234db398c25,
    0xf6c69a72a3989f5c, 0xb7dcbf5354e9bece, 0x88fcf317f22241e2, 0xcc20ce9bd35c78a5, 0x98165af37b2153df,
    0xe2a0b5dc971f303a, 0xa8d9d1535ce3b396, 0xfb9b7cd9a4a7443c, 0xbb764c4ca7a44410, 0x8bab8eefb6409c1a,
    0xd01fef10a657842c, 0x9b10a4e5e9913129, 0xe7109bfba19c0c9d, 0xac2820d9623bf429, 0x80444b5e7aa7cf85,
    0xbf21e44003acdd2d, 0x8e679c2f5e44ff8f, 0xd433179d9c8cb841, 0x9e19db92b4e31ba9,
];
