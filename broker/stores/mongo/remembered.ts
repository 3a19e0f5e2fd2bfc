import { connect } from './connection.ts';

/** The broker's name in the database; `made` is kept there if it has none yet. @throws Error with one line saying why there is no connection */
export async function rememberedIn(url: string, waitMs: number, made: string): Promise<string> {
  const { client, collections } = await connect(url, waitMs);
  try {
    const found = await collections.memory.findOneAndUpdate(
      { _id: 'broker' },
      { $setOnInsert: { name: made } },
      { upsert: true, returnDocument: 'after' },
    );
    return String(found?.['name']);
  } finally {
    await client.close();
  }
}
