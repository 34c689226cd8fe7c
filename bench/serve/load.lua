-- Requests of many client networks for many things. A machine asks for a layer once: with 1000 things, each pair of
-- network and thing comes once in 8 million requests. The parts are made beforehand, so that wrk only joins them.
-- Arguments: kind (blob or tag), number of digests. Digest i is sha256:<i as 64 hexadecimal digits>.
local paths, clients, at, things = {}, {}, 0, 0

function init(args)
  local kind, digests = args[1], tonumber(args[2])
  things = digests
  for i = 0, digests - 1 do
    if kind == "blob" then
      paths[i] = string.format("GET /v2/library/sample/blobs/sha256:%064x HTTP/1.1\r\nHost: registry.example.org\r\nX-Forwarded-For: 3.", i)
    else
      paths[i] = string.format("GET /v2/library/sample-%d/manifests/v1.2.%d HTTP/1.1\r\nHost: registry.example.org\r\nX-Forwarded-For: 3.", i % 100, i / 100)
    end
  end
  for i = 0, 65535 do
    clients[i] = string.format("%d.%d.7\r\n\r\n", i / 256, i % 256)
  end
  -- Each run begins elsewhere, so that runs do not repeat each other within minutes.
  at = os.time() * 7919 % 8192000
end

function request()
  at = at + 1
  return paths[at * 7919 % things] .. clients[at % 65536]
end
