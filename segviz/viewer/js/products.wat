;; Dot products of one vector with each row of a matrix, four float32 at a time: the hot loop for maps on large grids.
;; wasm_products.js contains this file assembled (`wat2wasm products.wat`), in base64. Addresses and $bytes, the length of
;; a row, are in bytes; $bytes is a multiple of 4.
(module
  (import "env" "memory" (memory 1))
  (func (export "products")
    (param $vector i32) (param $matrix i32) (param $out i32) (param $rows i32) (param $bytes i32)
    (local $whole i32) (local $at i32) (local $sums v128) (local $sum f32)
    (local.set $whole (i32.and (local.get $bytes) (i32.const -16)))
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $sums (v128.const f32x4 0 0 0 0))
        (local.set $at (i32.const 0))
        (block $four_end
          (loop $four
            (br_if $four_end (i32.ge_u (local.get $at) (local.get $whole)))
            (local.set $sums (f32x4.add (local.get $sums) (f32x4.mul
              (v128.load align=4 (i32.add (local.get $vector) (local.get $at)))
              (v128.load align=4 (i32.add (local.get $matrix) (local.get $at))))))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br $four)))
        (local.set $sum (f32.add
          (f32.add (f32x4.extract_lane 0 (local.get $sums)) (f32x4.extract_lane 1 (local.get $sums)))
          (f32.add (f32x4.extract_lane 2 (local.get $sums)) (f32x4.extract_lane 3 (local.get $sums)))))
        (block $one_end
          (loop $one
            (br_if $one_end (i32.ge_u (local.get $at) (local.get $bytes)))
            (local.set $sum (f32.add (local.get $sum) (f32.mul
              (f32.load (i32.add (local.get $vector) (local.get $at)))
              (f32.load (i32.add (local.get $matrix) (local.get $at))))))
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (br $one)))
        (f32.store (local.get $out) (local.get $sum))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $matrix (i32.add (local.get $matrix) (local.get $bytes)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row)))))
