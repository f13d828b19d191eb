/** The structure that screen readers get, of the pages that people use all day. */
import { expect, makeEvent, makeTask, makeWebhook, open, signIn, test } from './fixtures.js';

test('dashboard, forms, deliveries and an occurrence match their aria snapshots', async ({ page, hook }) => {
  await page.addInitScript(() => { delete (globalThis as any).EventSource; });
  await signIn(page, hook);
  const main = page.getByRole('main');
  await expect(main).toMatchAriaSnapshot({ name: 'dashboard.aria.yml' });
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await makeEvent(page, hook, 'Power On', 'Tell');
  await open(page, hook, '/webhooks/new');
  await expect(main).toMatchAriaSnapshot({ name: 'webhook-form.aria.yml' });
  await open(page, hook, '/tasks/new');
  await expect(page.getByRole('region', { name: 'Preview' })).toBeVisible();
  await expect(main).toMatchAriaSnapshot({ name: 'task-form.aria.yml' });
  await open(page, hook, '/events/1');
  await expect(page.getByRole('region', { name: 'What it matches' })).toContainText('Matches');
  await expect(main).toMatchAriaSnapshot({ name: 'event-form.aria.yml' });
  const response = await hook.post({ type: 'vms', event: 'poweron', object: { name: 'web-01' } });
  const { occurrences } = await response.json() as { occurrences: { id: string }[] };
  await expect.poll(() => hook.received().length).toBe(1);
  // The receiver has the request before the result is recorded.
  await expect(async () => {
    await open(page, hook, '/deliveries');
    expect(await main.getByRole('link', { name: 'Sent' }).count()).toBe(1);
  }).toPass();
  await expect(page.getByRole('table', { name: 'Deliveries' }).locator('thead')).toMatchAriaSnapshot({ name: 'deliveries.aria.yml' });
  await open(page, hook, `/occurrences/${occurrences[0].id}`);
  await expect(page.getByRole('region', { name: 'What happened' })).toMatchAriaSnapshot(`
    - region "What happened":
      - heading "What happened" [level=2]
      - list:
        - listitem:
          - text: "1"
          - heading "Received and stored" [level=3]
          - time: /\\d+:\\d+:\\d+/
          - paragraph:
            - text: From
            - code: dc-1
            - text: .
        - listitem:
          - text: "2"
          - heading "1 of 1 event fired" [level=3]
          - list:
            - listitem:
              - link "Any":
                - /url: /events/1
              - text: starts
              - link "Tell":
                - /url: /tasks/1
              - text: Fired
        - listitem:
          - text: "3"
          - heading "1 sent" [level=3]
          - list:
            - listitem:
              - link "Sent":
                - /url: /\\/deliveries\\/[0-9a-f-]+/
              - text: through Chat
  `);
});
