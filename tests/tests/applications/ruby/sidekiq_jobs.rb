# The jobs of sidekiq.rb, as its worker loads them.

require 'sidekiq'

PORT = Integer(ENV['APPLICATION_PORT'] || ARGV[0])
Sidekiq.logger.level = Logger::FATAL
address = { url: "redis://127.0.0.1:#{PORT}/0" }
Sidekiq.configure_client { |config| config.redis = address }
Sidekiq.configure_server do |config|
  config.redis = address
  config.average_scheduled_poll_interval = 0.2
end

class Add
  include Sidekiq::Worker

  def perform(x, y)
    Sidekiq.redis { |redis| redis.lpush('sums', x + y) }
  end
end

class Flaky
  include Sidekiq::Worker

  def perform(name, wanted)
    made = Sidekiq.redis { |redis| redis.incr("flaky:#{name}") }
    raise "attempt #{made}" if made < wanted

    Sidekiq.redis { |redis| redis.lpush('flaky', made) }
  end
end

class Hold
  include Sidekiq::Worker
  sidekiq_options queue: 'held'

  def perform(name)
    Sidekiq.redis do |redis|
      redis.lpush("#{name}:begun", 1)
    end
    sleep
  end
end
