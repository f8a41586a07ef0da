//! Places on Earth as sorted set scores: 52-bit geohashes, as Redis has them.
//!
//! Longitude and latitude are halved 26 times each, and their bits interleaved: latitude in the
//! even bits, longitude in the odd ones. The range of latitudes is that of web maps, so that cells
//! are nearly square; the text form uses all latitudes, as geohash.org does. Distances are great
//! circles on a sphere.

/// Bits of each coordinate.
const STEPS: u32 = 26;

/// Radius of the sphere, in metres.
pub const EARTH_RADIUS_M: f64 = 6_372_797.560_856;

/// The largest longitude, in degrees; its negative is the least.
pub const LONGITUDE_MAX: f64 = 180.0;
/// The largest latitude, in degrees; its negative is the least. Beyond it the Mercator map is no
/// square.
pub const LATITUDE_MAX: f64 = 85.05112878;

/// Letters of the text form.
const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// Letters of a text. The last would need bits that 52 do not have, and is always 0.
const TEXT_LEN: usize = 11;

/// A place on Earth: longitude and latitude in degrees, within the ranges that GEOADD takes
/// (<https://redis.io/docs/latest/commands/geoadd/>).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coordinates {
    /// Degrees east.
    pub longitude: f64,
    /// Degrees north.
    pub latitude: f64,
}

pub(crate) fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

pub(crate) fn squash(bits: u64) -> u32 {
    let mut x = bits & 0x5555_5555_5555_5555;
    x = (x | x >> 1) & 0x3333_3333_3333_3333;
    x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

/// Which of the 2^26 parts of `-max..=max` holds `value`.
fn part(value: f64, max: f64) -> u32 {
    let offset = (value + max) / (2.0 * max) * f64::from(1u32 << STEPS);
    // The very edge has a number one too high, as in Redis.
    offset as u32
}

/// The middle of a part.
fn middle(part: u32, max: f64) -> f64 {
    let scale = 2.0 * max;
    let parts = f64::from(1u32 << STEPS);
    let low = -max + f64::from(part) / parts * scale;
    let high = -max + (f64::from(part) + 1.0) / parts * scale;
    ((low + high) / 2.0).clamp(-max, max)
}

impl Coordinates {
    /// The place with these coordinates, if they are within the ranges.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let within = (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        within.then_some(Self {
            longitude,
            latitude,
        })
    }

    /// Its 52-bit geohash.
    pub fn hash(self) -> u64 {
        self.hash_within(LATITUDE_MAX)
    }

    fn hash_within(self, latitude_max: f64) -> u64 {
        spread(part(self.latitude, latitude_max)) | spread(part(self.longitude, LONGITUDE_MAX)) << 1
    }

    /// The middle of a geohash's cell. A number of more than 52 bits lies at the edge of the map.
    pub fn of_hash(hash: u64) -> Self {
        Self {
            longitude: middle(squash(hash >> 1), LONGITUDE_MAX),
            latitude: middle(squash(hash), LATITUDE_MAX),
        }
    }

    /// The text that geohash.org knows the place by.
    pub fn text(self) -> [u8; TEXT_LEN] {
        let hash = self.hash_within(90.0);
        std::array::from_fn(|index| {
            let shift = (2 * STEPS as usize).checked_sub((index + 1) * 5);
            let letter = shift.map_or(0, |shift| (hash >> shift & 0x1f) as usize);
            ALPHABET[letter]
        })
    }

    /// The great-circle distance, in metres (haversine formula).
    pub fn distance_m(self, other: Self) -> f64 {
        let v = ((other.longitude.to_radians() - self.longitude.to_radians()) / 2.0).sin();
        if v == 0.0 {
            return self.latitude_distance_m(other);
        }
        let (lat1, lat2) = (self.latitude.to_radians(), other.latitude.to_radians());
        let u = ((lat2 - lat1) / 2.0).sin();
        let a = u * u + lat1.cos() * lat2.cos() * v * v;
        2.0 * EARTH_RADIUS_M * a.sqrt().asin()
    }

    /// The distance along a meridian, in metres.
    pub fn latitude_distance_m(self, other: Self) -> f64 {
        EARTH_RADIUS_M * (other.latitude.to_radians() - self.latitude.to_radians()).abs()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_places_have_known_hashes() {
        // The example of Redis's documentation.
        let palermo = Coordinates::new(13.361389, 38.115556).expect("a place");
        let catania = Coordinates::new(15.087269, 37.502669).expect("a place");
        assert_eq!(palermo.hash(), 3479099956230698);
        assert_eq!(catania.hash(), 3479447370796909);
        let (palermo, catania) = (
            Coordinates::of_hash(palermo.hash()),
            Coordinates::of_hash(catania.hash()),
        );
        assert_eq!(format!("{:.4}", palermo.distance_m(catania)), "166274.1516");
        assert_eq!(&palermo.text(), b"sqc8b49rny0");
        assert_eq!(&catania.text(), b"sqdtr74hyu0");
    }

    proptest! {
        #[test]
        fn a_cell_holds_its_place(longitude in -180.0..180.0f64, latitude in -85.05..85.05f64) {
            let place = Coordinates::new(longitude, latitude).expect("within range");
            let hash = place.hash();
            prop_assert!(hash < 1 << 52);
            let middle = Coordinates::of_hash(hash);
            prop_assert!(place.distance_m(middle) < 0.7);
            prop_assert_eq!(middle.hash(), hash);
        }

        #[test]
        fn any_bits_are_a_place(bits in any::<u64>()) {
            let place = Coordinates::of_hash(bits);
            prop_assert!(Coordinates::new(place.longitude, place.latitude).is_some());
        }
    }
}
