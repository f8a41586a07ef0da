# Sidekiq 6, as Debian has it: a fetcher and a scheduler in a process of their own, retries, bulks,
# the pages' queries. Takes the port; prints what it finds.

require 'json'
require 'redis'
require 'sidekiq'
require 'sidekiq/api'
require 'timeout'
require_relative 'sidekiq_jobs'

def say(what, value)
  puts "#{what}: #{JSON.generate(value)}"
  $stdout.flush
end

def eventually
  loop do
    found = yield
    return found if found
    sleep 0.01
  end
end

worker = nil
begin
  Timeout.timeout(150) do
    redis = Redis.new(port: PORT)
    say('pushed', Add.perform_async(2, 3).length)
    Sidekiq::Client.push_bulk('class' => 'Add', 'args' => (1..50).map { |n| [n, 1] })
    say('queued', Sidekiq::Queue.new.size)
    Add.perform_in(1, 100, 1)
    Add.perform_in(100_000, 0, 0)
    say('scheduled', Sidekiq::ScheduledSet.new.size)
    Sidekiq::ScheduledSet.new.scan('Add').find { |job| job.args == [0, 0] }.delete
    say('deleted', Sidekiq::ScheduledSet.new.size)
    # One thread: another would take what is pushed back as the process ends.
    worker = spawn({ 'APPLICATION_PORT' => PORT.to_s }, 'sidekiq', '-r', File.join(__dir__, 'sidekiq_jobs.rb'),
                   '-c', '1', '-q', 'default', '-q', 'held', '-t', '1', out: '/dev/null', err: '/dev/null')
    sums = 52.times.map { Integer(redis.blpop('sums', timeout: 60)[1]) }
    say('sums', sums.sum)
    Flaky.perform_async('a', 2)
    say('failed once', eventually { (retries = Sidekiq::RetrySet.new).size == 1 && retries.first['error_message'] })
    Sidekiq::RetrySet.new.retry_all
    say('retried', redis.blpop('flaky', timeout: 60)[1])
    Flaky.perform_async('dead', 99)
    eventually { Sidekiq::RetrySet.new.size == 1 }
    Sidekiq::RetrySet.new.kill_all
    say('dead', Sidekiq::DeadSet.new.map { |job| [job.klass, job['error_message']] })
    say('processed', eventually { (stats = Sidekiq::Stats.new).processed >= 55 && stats.failed == 2 })
    Hold.perform_async('stopped')
    redis.blpop('stopped:begun', timeout: 60)
    say('busy', eventually { (set = Sidekiq::ProcessSet.new).size == 1 && set.first['queues'].sort })
    Process.kill('TERM', worker)
    Process.wait(worker)
    worker = nil
    say('pushed back', [Sidekiq::Queue.new('held').size, Sidekiq::Queue.new('held').first.args])
    Sidekiq::Queue.new('held').clear
    say('cleared', Sidekiq::Queue.all.map(&:name))
  end
rescue Exception => error
  puts "#{error.class}: #{error.message}", error.backtrace
  exit 1
ensure
  Process.kill('KILL', worker) if worker
end
puts 'done'
