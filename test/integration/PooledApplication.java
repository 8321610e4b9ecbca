import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * An application with HikariCP: writes a row on one connection and looks for it on another at once.
 * Arguments: url, user, password, rows, workers, first id. Prints how many rows were not there.
 */
public final class PooledApplication {
  private static HikariDataSource pool;

  public static void main(String[] args) throws Exception {
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl(args[0]);
    config.setUsername(args[1]);
    config.setPassword(args[2]);
    int rows = Integer.parseInt(args[3]);
    int workers = Integer.parseInt(args[4]);
    long first = Long.parseLong(args[5]);
    config.setMaximumPoolSize(2 * workers);
    pool = new HikariDataSource(config);
    ExecutorService threads = Executors.newFixedThreadPool(workers);
    List<Future<Integer>> counts = new ArrayList<>();
    for (int worker = 0; worker < workers; worker++) {
      int from = worker;
      Callable<Integer> work = () -> run(from, workers, rows, first);
      counts.add(threads.submit(work));
    }
    int missing = 0;
    for (Future<Integer> count : counts) missing += count.get();
    threads.shutdown();
    pool.close();
    System.out.println("missing " + missing + " of " + rows);
  }

  private static int run(int from, int step, int rows, long first) throws SQLException {
    int missing = 0;
    for (int n = from; n < rows; n += step) {
      // One connection is held while the other is taken: they are two.
      try (Connection reader = pool.getConnection()) {
        try (Connection writer = pool.getConnection()) {
          write(writer, first + n);
        }
        if (!isThere(reader, first + n)) missing++;
      }
    }
    return missing;
  }

  private static void write(Connection db, long id) throws SQLException {
    db.setAutoCommit(false);
    try (PreparedStatement insert = db.prepareStatement("INSERT INTO pooled (id) VALUES (?)")) {
      insert.setLong(1, id);
      insert.executeUpdate();
    }
    db.commit();
    db.setAutoCommit(true);
  }

  private static boolean isThere(Connection db, long id) throws SQLException {
    try (PreparedStatement select = db.prepareStatement("SELECT count(*) FROM pooled WHERE id = ?")) {
      select.setLong(1, id);
      try (ResultSet found = select.executeQuery()) {
        found.next();
        return found.getInt(1) == 1;
      }
    }
  }
}
