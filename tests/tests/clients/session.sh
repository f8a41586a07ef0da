# What people type: each line's output is compared with what redis-cli prints for Redis. $CLI is redis-cli with the port.
$CLI PING
$CLI SET greeting "hello world"
$CLI GET greeting
$CLI GET nothing
$CLI --no-raw GET greeting
$CLI --no-raw GET nothing
$CLI INCR greeting
$CLI INCR counter
$CLI --no-raw INCR counter
$CLI MSET a 1 b 2 c 3 d 4
$CLI --no-raw MGET a b c d e
$CLI RPUSH list 1 2 3
$CLI --no-raw LRANGE list 0 -1
$CLI -3 HSET hash field value
$CLI -3 --no-raw HGETALL hash
$CLI --no-raw ZADD board 1.5 one 2 two
$CLI -3 --no-raw ZRANGE board 0 -1 WITHSCORES
$CLI --no-raw TYPE list
$CLI --csv LRANGE list 0 -1
$CLI --json -3 HGETALL hash
printf 'SET piped 1\nINCR piped\nGET piped\n' | $CLI
printf 'MULTI\nSET x 1\nINCR x\nMGET x a b\nEXEC\n' | $CLI
printf 'a long value' | $CLI -x SET stdin
$CLI GET stdin
$CLI -n 3 SET elsewhere 1
$CLI -n 3 DBSIZE
$CLI EXISTS elsewhere
$CLI -r 3 INCR repeated
$CLI --scan --pattern 'a*'
$CLI --scan | sort
$CLI NOSUCHCOMMAND some argument
$CLI SET missing
$CLI -e NOSUCHCOMMAND; echo "status $?"
$CLI SELECT 99
printf '*3\r\n$3\r\nSET\r\n$4\r\nmass\r\n$1\r\n1\r\n*2\r\n$4\r\nINCR\r\n$4\r\nmass\r\n' | $CLI --pipe | tail -1
$CLI GET mass
$CLI DEL a b c d
$CLI FLUSHALL
$CLI DBSIZE
