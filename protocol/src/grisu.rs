//! The decimal digits of a double, as Redis finds them: Grisu2.
//!
//! The double is the middle of an interval whose every number reads back as the double. Scaled by a
//! power of ten that is known to 64 bits, the interval's upper end has at most ten digits before
//! the point; they are written down until what is left is less than the width of the interval, and
//! the last digit is then brought as near to the double as it goes. With 64 bits that is nearly
//! always the shortest text; for about one value in a thousand it is a digit longer. Replies are to
//! be the same then too, so it has to be this way and no better one. (Florian Loitsch: Printing
//! floating-point numbers quickly and accurately with integers, PLDI 2010.)

use smallvec::SmallVec;

/// Seventeen digits always tell a double from all others.
pub type Digits = SmallVec<[u8; 20]>;

/// Bits of a double's fraction.
const FRACTION_BITS: i32 = 52;
const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;
/// What to subtract from a double's exponent field, where the fraction counts as an integer.
const BIAS: i32 = 1023 + FRACTION_BITS;

/// After scaling, the binary exponent lies in this range, so that what stands before the point fits
/// 32 bits.
const SCALED_MIN: i32 = -60;
const SCALED_MAX: i32 = -32;

/// The powers are 10^-348, 10^-340, ... 10^340.
const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;

/// Their leading 64 bits, rounded. The exponent follows from the power.
#[rustfmt::skip]
const POWERS: [u64; 87] = [
    0xFA8F_D5A0_081C_0288, 0xBAAE_E17F_A23E_BF76, 0x8B16_FB20_3055_AC76, 0xCF42_894A_5DCE_35EA,
    0x9A6B_B0AA_5565_3B2D, 0xE61A_CF03_3D1A_45DF, 0xAB70_FE17_C79A_C6CA, 0xFF77_B1FC_BEBC_DC4F,
    0xBE56_91EF_416B_D60C, 0x8DD0_1FAD_907F_FC3C, 0xD351_5C28_3155_9A83, 0x9D71_AC8F_ADA6_C9B5,
    0xEA9C_2277_23EE_8BCB, 0xAECC_4991_4078_536D, 0x823C_1279_5DB6_CE57, 0xC210_9436_4DFB_5637,
    0x9096_EA6F_3848_984F, 0xD774_85CB_2582_3AC7, 0xA086_CFCD_97BF_97F4, 0xEF34_0A98_172A_ACE5,
    0xB238_67FB_2A35_B28E, 0x84C8_D4DF_D2C6_3F3B, 0xC5DD_4427_1AD3_CDBA, 0x936B_9FCE_BB25_C996,
    0xDBAC_6C24_7D62_A584, 0xA3AB_6658_0D5F_DAF6, 0xF3E2_F893_DEC3_F126, 0xB5B5_ADA8_AAFF_80B8,
    0x8762_5F05_6C7C_4A8B, 0xC9BC_FF60_34C1_3053, 0x964E_858C_91BA_2655, 0xDFF9_7724_7029_7EBD,
    0xA6DF_BD9F_B8E5_B88F, 0xF8A9_5FCF_8874_7D94, 0xB944_7093_8FA8_9BCF, 0x8A08_F0F8_BF0F_156B,
    0xCDB0_2555_6531_31B6, 0x993F_E2C6_D07B_7FAC, 0xE45C_10C4_2A2B_3B06, 0xAA24_2499_6973_92D3,
    0xFD87_B5F2_8300_CA0E, 0xBCE5_0864_9211_1AEB, 0x8CBC_CC09_6F50_88CC, 0xD1B7_1758_E219_652C,
    0x9C40_0000_0000_0000, 0xE8D4_A510_0000_0000, 0xAD78_EBC5_AC62_0000, 0x813F_3978_F894_0984,
    0xC097_CE7B_C907_15B3, 0x8F7E_32CE_7BEA_5C70, 0xD5D2_38A4_ABE9_8068, 0x9F4F_2726_179A_2245,
    0xED63_A231_D4C4_FB27, 0xB0DE_6538_8CC8_ADA8, 0x83C7_088E_1AAB_65DB, 0xC45D_1DF9_4271_1D9A,
    0x924D_692C_A61B_E758, 0xDA01_EE64_1A70_8DEA, 0xA26D_A399_9AEF_774A, 0xF209_787B_B47D_6B85,
    0xB454_E4A1_79DD_1877, 0x865B_8692_5B9B_C5C2, 0xC835_53C5_C896_5D3D, 0x952A_B45C_FA97_A0B3,
    0xDE46_9FBD_99A0_5FE3, 0xA59B_C234_DB39_8C25, 0xF6C6_9A72_A398_9F5C, 0xB7DC_BF53_54E9_BECE,
    0x88FC_F317_F222_41E2, 0xCC20_CE9B_D35C_78A5, 0x9816_5AF3_7B21_53DF, 0xE2A0_B5DC_971F_303A,
    0xA8D9_D153_5CE3_B396, 0xFB9B_7CD9_A4A7_443C, 0xBB76_4C4C_A7A4_4410, 0x8BAB_8EEF_B640_9C1A,
    0xD01F_EF10_A657_842C, 0x9B10_A4E5_E991_3129, 0xE710_9BFB_A19C_0C9D, 0xAC28_20D9_623B_F429,
    0x8044_4B5E_7AA7_CF85, 0xBF21_E440_03AC_DD2D, 0x8E67_9C2F_5E44_FF8F, 0xD433_179D_9C8C_B841,
    0x9E19_DB92_B4E3_1BA9, 0xEB96_BF6E_BADF_77D9, 0xAF87_023B_9BF0_EE6B,
];

/// `fraction` times two to the power of `exponent`.
#[derive(Clone, Copy)]
struct Scaled {
    fraction: u64,
    exponent: i32,
}

impl Scaled {
    /// The product, rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.fraction) * u128::from(other.fraction);
        // What lies below the middle 64 bits is cut off before the rounding.
        let rounded = (product >> 32) + (1 << 31);
        Self {
            fraction: (rounded >> 32) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }

    fn normalized(self) -> Self {
        let shift = self.fraction.leading_zeros();
        Self {
            fraction: self.fraction << shift,
            exponent: self.exponent - shift as i32,
        }
    }
}

/// The power of ten that brings a number with this exponent into range, and which one it is.
fn power_for(exponent: i32) -> (Scaled, i32) {
    let scaled = |index: i32| {
        let power = FIRST_POWER + index * POWER_STEP;
        // The binary exponent is that of log2(10) times the power, exactly so for all of the table.
        let exponent = ((power * 217_706) >> 16) - 63;
        let fraction = POWERS[index as usize];
        (Scaled { fraction, exponent }, power)
    };
    const ONE_LOG_TEN: f64 = 0.301_029_995_663_981_14;
    let approximate = (f64::from(-(exponent + POWERS.len() as i32)) * ONE_LOG_TEN) as i32;
    let mut index = (approximate - FIRST_POWER) / POWER_STEP;
    loop {
        let (power, which) = scaled(index);
        match exponent + power.exponent + 64 {
            ..SCALED_MIN => index += 1,
            SCALED_MIN..=SCALED_MAX => return (power, which),
            _ => index -= 1,
        }
    }
}

/// The digits of `value`, which is positive and finite, and the decimal exponent of the last of
/// them.
pub fn digits(value: f64) -> (Digits, i32) {
    let bits = value.to_bits();
    let (fraction, field) = (bits & (HIDDEN_BIT - 1), (bits >> FRACTION_BITS) as i32);
    let exact = match field {
        0 => Scaled {
            fraction,
            exponent: 1 - BIAS,
        },
        field => Scaled {
            fraction: fraction | HIDDEN_BIT,
            exponent: field - BIAS,
        },
    };
    let upper = Scaled {
        fraction: (exact.fraction << 1) + 1,
        exponent: exact.exponent - 1,
    }
    .normalized();
    // Below a power of two the next double is only half as far.
    let shift = if exact.fraction == HIDDEN_BIT { 2 } else { 1 };
    let lower_exponent = exact.exponent - shift;
    let lower = Scaled {
        fraction: ((exact.fraction << shift) - 1) << (lower_exponent - upper.exponent),
        exponent: upper.exponent,
    };
    let (power, which) = power_for(upper.exponent);
    let (middle, upper, lower) = (
        exact.normalized().times(power),
        upper.times(power),
        lower.times(power),
    );
    // One unit safer on either side: products are rounded.
    let upper = Scaled {
        fraction: upper.fraction - 1,
        ..upper
    };
    let (digits, exponent) = generate(middle.fraction, upper, lower.fraction + 1);
    (digits, exponent - which)
}

/// Writes digits of `upper` down until the rest is within the interval.
fn generate(middle: u64, upper: Scaled, lower: u64) -> (Digits, i32) {
    let point = upper.exponent.unsigned_abs();
    let one = 1u64 << point;
    let mut digits = Digits::new();
    let distance = upper.fraction - middle;
    let mut width = upper.fraction - lower;
    let mut whole = upper.fraction >> point;
    let mut part = upper.fraction & (one - 1);
    let mut unit = 1_000_000_000;
    for exponent in (0..10).rev() {
        let digit = whole / unit;
        if digit > 0 || !digits.is_empty() {
            digits.push(b'0' + digit as u8);
        }
        whole %= unit;
        let rest = (whole << point) + part;
        if rest <= width {
            approach(&mut digits, width, rest, unit << point, distance);
            return (digits, exponent);
        }
        unit /= 10;
    }
    let (mut exponent, mut scale) = (0, 1u64);
    loop {
        part *= 10;
        width *= 10;
        scale = scale.wrapping_mul(10);
        exponent -= 1;
        let digit = part >> point;
        if digit > 0 || !digits.is_empty() {
            digits.push(b'0' + digit as u8);
        }
        part &= one - 1;
        if part < width {
            approach(&mut digits, width, part, one, distance.wrapping_mul(scale));
            return (digits, exponent);
        }
    }
}

/// Lowers the last digit as long as that brings it nearer to the middle, which is `distance` below
/// the upper end; `rest` is what the digits lack of the upper end, and `unit` what the last digit
/// counts for.
fn approach(digits: &mut Digits, width: u64, mut rest: u64, unit: u64, distance: u64) {
    while rest < distance
        && width - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        if let Some(last) = digits.last_mut() {
            *last -= 1;
        }
        rest += unit;
    }
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    fn text(value: f64) -> String {
        let (digits, exponent) = digits(value);
        format!("{}e{exponent}", String::from_utf8_lossy(&digits))
    }

    #[test]
    fn known_digits() {
        for (value, expected) in [
            (0.1, "1e-1"),
            (1.5, "15e-1"),
            (1e23, "9999999999999999e7"),
            (f64::MAX, "17976931348623157e292"),
            (f64::MIN_POSITIVE, "22250738585072014e-324"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn powers_are_the_nearest() {
        for (index, &fraction) in POWERS.iter().enumerate() {
            let power = FIRST_POWER + index as i32 * POWER_STEP;
            let exponent = ((power * 217_706) >> 16) - 63;
            // 2 * fraction * 2^exponent differs from 2 * 10^power by at most 2^exponent.
            let ten = BigUint::from(10u32).pow(power.unsigned_abs());
            let two = BigUint::from(2u32).pow(exponent.unsigned_abs());
            let (mut ours, mut theirs, mut unit) = (
                BigUint::from(fraction) * 2u32,
                BigUint::from(2u32),
                BigUint::from(1u32),
            );
            if power < 0 {
                ours *= &ten;
                unit *= &ten;
            } else {
                theirs *= &ten
            }
            if exponent < 0 {
                theirs *= &two
            } else {
                ours *= &two;
                unit *= &two;
            }
            let apart = if ours > theirs {
                ours - theirs
            } else {
                theirs - ours
            };
            assert!(apart <= unit, "10^{power}");
        }
    }

    proptest! {
        #[test]
        fn digits_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits).abs();
            prop_assume!(value.is_finite() && value > 0.0);
            prop_assert_eq!(text(value).parse::<f64>(), Ok(value));
            prop_assert!(digits(value).0.len() <= 18);
        }
    }
}
