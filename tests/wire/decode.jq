def values($n): . as $c | if type != "array" then [range($n) | $c]
  elif (.[0] | type) == "array" then [.[] as [$value, $length] | range($length) | $value]
  else [foreach .[] as $d ({sum: 0}; .sum += ($d // 0) | .value = (if $d == null then null else .sum end); .value)] end;
. as {$epoch, $n, $late, $c} | [$c | to_entries[] | (.key / "/") as [$name, $divisor] | {$name, values: [.value
  | values($n)[] | if . == null or $divisor == null then . else . / ($divisor | tonumber) end]}] as $columns
| range($n) as $row | reduce $columns[] as {$name, $values} ({$epoch, $late}; .[$name] = $values[$row])
