/** What is typed comes back as it was typed, whatever it means to HTML; what is saved can be tried as it is saved. */
import { edit, expect, field, isPlain, makeTask, makeWebhook, open, save, seeTitle, signIn, test } from './fixtures.js';

const HOSTILE = '</title><img src=x onerror=alert(1)>';
const MESSAGE = '\n{"a": "&amp; &lt; </textarea><img src=x onerror=alert(1)>"}\n';

test('texts survive an edit whatever they mean to HTML', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, HOSTILE);
  await expect(page).toHaveTitle(`Webhook: ${HOSTILE} · Hookwright`);
  await page.reload();
  await expect(page).toHaveTitle(`Webhook: ${HOSTILE} · Hookwright`);
  await makeTask(page, hook, 'full', HOSTILE, MESSAGE);
  await makeTask(page, hook, 'empty', HOSTILE, '');
  for (const [id, name, message] of [[1, 'full', MESSAGE], [2, 'empty', '']] as const) {
    for (let round = 0; round < 2; round++) {
      // With the document, and by a link.
      await open(page, hook, round === 0 ? `/tasks/${id}/edit` : `/tasks/${id}`);
      if (round === 1) await edit(page);
      await expect(field(page, 'Message')).toHaveValue(message);
      await expect(field(page, 'Description')).toHaveValue('');
      await save(page, `Task: ${name}`);
    }
  }
  await expect(page.locator('img')).toHaveCount(0);
});

test('an operator tests what is saved, and is warned of a host without address', async ({ page, hook }) => {
  await signIn(page, hook, 'olga');
  await makeWebhook(page, hook, 'Chat', `${hook.inbox}/status/418`);
  await edit(page);
  await seeTitle(page, 'Webhook: Chat');
  if (!isPlain()) {
    // It would come with what else the browser half adds.
    await expect(page.getByRole('toolbar', { name: 'Headers' })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Send test' })).toHaveCount(0);
  }
  await open(page, hook, '/webhooks/1');
  await page.getByRole('link', { name: 'Send test' }).click();
  await seeTitle(page, 'Send test');
  await field(page, 'Message').fill('exactly & this </textarea>');
  await page.getByRole('button', { name: 'Send test' }).click();
  await expect(page.getByRole('region', { name: 'Test answer' })).toContainText('418');
  await expect(page.getByRole('region', { name: 'Test request' })).toContainText('exactly & this </textarea>');
  await expect(field(page, 'Message')).toHaveValue('exactly & this </textarea>');
  await expect.poll(() => hook.received().map((request) => request.body)).toEqual(['exactly & this </textarea>']);

  await makeWebhook(page, hook, 'Later', 'http://nobody.invalid/');
  await expect(page.getByRole('status').filter({ hasText: 'does not resolve at the moment' })).toBeVisible();
  await makeWebhook(page, hook, 'Now', hook.inbox);
  await expect(page.getByText('does not resolve')).toHaveCount(0);
});

test('the title of a page is right from the first byte to the last', async ({ page, hook }) => {
  await page.addInitScript(() => {
    const titles = new Set<string>();
    (globalThis as any).titles = titles;
    const note = () => { if (document.title) titles.add(document.title); };
    new MutationObserver(note).observe(document, { subtree: true, childList: true, characterData: true });
  });
  await signIn(page, hook);
  for (const path of ['/', '/webhooks', '/tasks', '/events', '/deliveries', '/runs', '/objects', '/tags', '/types', '/tasks/new']) {
    await open(page, hook, path);
    const heading = await page.getByRole('heading', { level: 1 }).textContent();
    const expected = `${heading?.trim()} · Hookwright`;
    await expect(page).toHaveTitle(expected);
    if (!isPlain()) expect(await page.evaluate(() => [...(globalThis as any).titles])).toEqual([expected]);
  }
  await open(page, hook, '/tags');
  const crumbs = page.getByRole('navigation', { name: 'Breadcrumb' });
  await expect(crumbs.getByRole('link').first()).toHaveText('Inventory');
  await page.goto(`${hook.url}/nowhere`);
  await expect(page).toHaveTitle('Not found · Hookwright');
});
