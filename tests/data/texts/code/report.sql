-- What every agent has cost in the last thirty days, against what Claude would have cost.
WITH recent AS (
    SELECT agent, deployment, input_tokens, output_tokens, cost_microusd, started_at
    FROM requests
    WHERE started_at >= CURRENT_TIMESTAMP - INTERVAL '30 days'
      AND ending IN ('completed', 'client_gone')
),
per_day AS (
    SELECT agent,
           date_trunc('day', started_at) AS day,
           COUNT(*) AS requests,
           SUM(input_tokens + output_tokens) AS tokens,
           SUM(cost_microusd) / 1000000.0 AS cost_usd
    FROM recent
    GROUP BY agent, date_trunc('day', started_at)
)
SELECT agent,
       SUM(requests) AS requests,
       ROUND(AVG(tokens), 1) AS tokens_per_day,
       ROUND(SUM(cost_usd), 4) AS cost_usd,
       RANK() OVER (ORDER BY SUM(cost_usd) DESC) AS place
FROM per_day
LEFT JOIN agents USING (agent)
WHERE agents.retired IS NOT TRUE
GROUP BY agent
HAVING SUM(requests) > 10
ORDER BY place
LIMIT 20;

CREATE INDEX IF NOT EXISTS requests_started_at ON requests (started_at, agent);
