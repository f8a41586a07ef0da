//! Places, kept as sorted sets. See [`crate::table`] for how to read a row.

/// The rows of this family.
#[doc(hidden)]
#[macro_export]
macro_rules! geo_commands { ($($so_far:tt)*) => { $crate::join_commands! { $($so_far)*

    "geoadd" => keyed(geo::geoadd) {
        arity -5; flags [WRITE DENYOOM]; acl [GEO]; keys [at(1) range(0, 1, 0) RW UPDATE];
        behind Writes;
        changes Named;
        group Geo; since "3.2.0"; complexity "O(log(N))";
        syntax "key [NX|XX] [CH] (longitude latitude member)...";
        summary "Adds places to a geospatial index.";
    }

    "geodist" => keyed(geo::geodist) {
        arity -4; flags [READONLY]; acl [GEO]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Geo; since "3.2.0"; complexity "O(log(N))";
        syntax "key member1 member2 [M|KM|FT|MI]";
        summary "The distance between two places.";
    }

    "geohash" => keyed(geo::geohash) {
        arity -2; flags [READONLY]; acl [GEO]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Geo; since "3.2.0"; complexity "O(log(N))";
        syntax "key member...";
        summary "The geohash strings of places.";
    }

    "geopos" => keyed(geo::geopos) {
        arity -2; flags [READONLY]; acl [GEO]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Geo; since "3.2.0"; complexity "O(N)";
        syntax "key member...";
        summary "The longitudes and latitudes of places.";
    }

    "georadius" => keyed(geo_search::georadius) {
        arity -6; flags [WRITE DENYOOM]; acl [GEO]; keys [at(1) range(0, 1, 0) RO ACCESS, after("STORE", 6) range(0, 1, 0) OW UPDATE, after("STOREDIST", 6) range(0, 1, 0) OW UPDATE];
        behind Writes;
        group Geo; since "3.2.0"; complexity "O(N+log(M))";
        syntax "key longitude latitude radius (M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]";
        summary "Places around a point; may store them.";
    }

    "georadius_ro" => keyed(geo_search::georadius_ro) {
        arity -6; flags [READONLY]; acl [GEO]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Geo; since "3.2.10"; complexity "O(N+log(M))";
        syntax "key longitude latitude radius (M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]";
        summary "Places around a point.";
    }

    "georadiusbymember" => keyed(geo_search::georadiusbymember) {
        arity -5; flags [WRITE DENYOOM]; acl [GEO]; keys [at(1) range(0, 1, 0) RO ACCESS, after("STORE", 5) range(0, 1, 0) OW UPDATE, after("STOREDIST", 5) range(0, 1, 0) OW UPDATE];
        behind Writes;
        group Geo; since "3.2.0"; complexity "O(N+log(M))";
        syntax "key member radius (M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC] [STORE key] [STOREDIST key]";
        summary "Places around another place; may store them.";
    }

    "georadiusbymember_ro" => keyed(geo_search::georadiusbymember_ro) {
        arity -5; flags [READONLY]; acl [GEO]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Geo; since "3.2.10"; complexity "O(N+log(M))";
        syntax "key member radius (M|KM|FT|MI) [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC|DESC]";
        summary "Places around another place.";
    }

    "geosearch" => keyed(geo_search::geosearch) {
        arity -7; flags [READONLY]; acl [GEO]; keys [at(1) range(0, 1, 0) RO ACCESS];
        group Geo; since "6.2.0"; complexity "O(N+log(M))";
        syntax "key (FROMMEMBER member|FROMLONLAT longitude latitude) (BYRADIUS radius (M|KM|FT|MI)|BYBOX width height (M|KM|FT|MI)) [ASC|DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]";
        summary "Places within a circle or a box.";
    }

    "geosearchstore" => keyed(geo_search::geosearchstore) {
        arity -8; flags [WRITE DENYOOM]; acl [GEO]; keys [at(1) range(0, 1, 0) OW UPDATE, at(2) range(0, 1, 0) RO ACCESS];
        behind Writes;
        group Geo; since "6.2.0"; complexity "O(N+log(M))";
        syntax "destination source (FROMMEMBER member|FROMLONLAT longitude latitude) (BYRADIUS radius (M|KM|FT|MI)|BYBOX width height (M|KM|FT|MI)) [ASC|DESC] [COUNT count [ANY]] [STOREDIST]";
        summary "Stores what GEOSEARCH answers.";
    }

} } }
