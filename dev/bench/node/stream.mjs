// The function `stream` as a team would write it on Node.js: the same query, and the same bytes. No token is checked,
// nothing is held, and no history is trimmed.
import { createHash } from 'node:crypto';
import { DynamoDBClient, QueryCommand } from '@aws-sdk/client-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';

const TABLE = process.env.FEED_TABLE;
const PUBLIC = new Set((process.env.PUBLIC_ATTRIBUTES ?? '').split(','));
const PAGE = 100;
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-store, no-transform',
  'x-accel-buffering': 'no',
};

const client = new DynamoDBClient({});

// What the Rust function does before its first event: it connects, and reads the dwell times.
if (process.env.PREPARE) await query('%dwells', 0);

function query(order, from, latest = false) {
  return client.send(
    new QueryCommand({
      TableName: TABLE,
      KeyConditionExpression: '#order = :order AND seq >= :from',
      ExpressionAttributeNames: { '#order': 'order' },
      ExpressionAttributeValues: { ':order': { S: order }, ':from': { N: String(from) } },
      ScanIndexForward: !latest,
      Limit: PAGE,
    }),
  );
}

/** Pages of entries: the latest one for a new visitor, all after the cursor for one that comes back. */
async function* pages(order, seen) {
  let from = seen;
  for (;;) {
    const found = await query(order, from, seen === 0);
    const entries = (found.Items ?? []).map((item) => unmarshall(item));
    if (seen === 0) entries.reverse();
    yield entries.filter((entry) => entry.seq > seen);
    if (seen === 0 || !found.LastEvaluatedKey) return;
    from = entries.at(-1).seq + 1;
  }
}

function mark(entry) {
  const hash = createHash('sha256').update(entry.position).digest('hex');
  return `${entry.seq}-${hash.slice(0, 4)}`;
}

function change(entry) {
  const shown = Object.entries(entry.view).filter(([name]) => PUBLIC.has(name));
  return JSON.stringify({
    orderId: entry.order,
    seq: entry.seq,
    status: entry.status,
    previous: entry.previous ?? null,
    at: entry.at,
    attributes: Object.fromEntries(shown),
  });
}

const rest = () => Math.round(60_000 * (0.9 + Math.random() * 0.2));

export const handler = awslambda.streamifyResponse(async (event, responseStream) => {
  const path = /^\/orders\/([^/]+)\/events$/.exec(event.rawPath);
  const metadata = { statusCode: path ? 200 : 404, headers: HEADERS };
  const stream = awslambda.HttpResponseStream.from(responseStream, metadata);
  if (!path) return stream.end();
  let id = event.headers['last-event-id'] || '0';
  const seen = Number.parseInt(id, 10);
  stream.write(`:\nevent: hello\nretry: ${1000 + Math.floor(Math.random() * 500)}\ndata: {}\nid: ${id}\n\n`);
  for await (const entries of pages(decodeURIComponent(path[1]), seen)) {
    for (const entry of entries) {
      id = mark(entry);
      stream.write(`data: ${change(entry)}\nid: ${id}\n\n`);
    }
  }
  stream.write(`event: ready\ndata: {}\nid: ${id}\n\n`);
  const retry = rest();
  stream.write(`event: rest\nretry: ${retry}\ndata: {"retry":${retry}}\nid: ${id}\n\n`);
  stream.end();
});
