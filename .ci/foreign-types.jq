# The types of other crates than the standard library's that are in a public signature, from rustdoc's JSON of a library.
(.external_crates | map_values(.name)) as $crates
| .paths as $paths
| [
    .index[]
    | select(.crate_id == 0)
    # What is implemented for all types is not the library's.
    | select(.inner.impl? | . == null or (.blanket_impl == null and (.is_synthetic | not)))
    | .name as $in
    | .inner | .. | objects | .resolved_path? // empty | .id | tostring
    | $paths[.] // empty
    | select(.crate_id != 0)
    # What the macro of bitflags writes has iterators of bitflags.
    | select($crates[.crate_id | tostring] | IN("core", "std", "alloc", "bitflags") | not)
    | (.path | join("::")) + " in \($in)"
  ]
| unique[]
