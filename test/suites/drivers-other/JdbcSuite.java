import java.io.PrintStream;
import java.util.Arrays;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** Runs pgjdbc's own test classes and prints one line per test: result, name, first line of the error. */
public final class JdbcSuite implements TestExecutionListener {
  private final PrintStream out;

  private JdbcSuite(PrintStream out) {
    this.out = out;
  }

  public static void main(String[] classes) {
    PrintStream out = System.out;
    // what the tests themselves print is not the report
    System.setOut(System.err);
    LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
        .selectors(Arrays.stream(classes).map(DiscoverySelectors::selectClass).toList())
        .configurationParameter("junit.jupiter.extensions.autodetection.enabled", "true")
        .configurationParameter("junit.jupiter.execution.timeout.default", "60 s")
        .build();
    LauncherFactory.create().execute(request, new JdbcSuite(out));
    out.flush();
    System.exit(0);
  }

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    print("skip", test, reason);
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    switch (result.getStatus()) {
      case SUCCESSFUL -> {
        if (test.isTest()) print("pass", test, "");
      }
      case ABORTED -> print("skip", test, "");
      default -> print("fail", test, String.valueOf(result.getThrowable().orElse(null)));
    }
  }

  private void print(String result, TestIdentifier test, String detail) {
    String name = test.getSource().map(source -> {
      if (source instanceof MethodSource method) {
        return simple(method.getClassName()) + "." + method.getMethodName();
      }
      if (source instanceof ClassSource of) return simple(of.getClassName());
      return test.getDisplayName();
    }).orElse(test.getDisplayName());
    // a parameterized test has one entry per set of parameters
    String unique = test.getUniqueId().replaceAll(".*class:[^]]*\\]", "").replaceAll("/?\\[method:[^]]*\\]|/?\\[test-template:[^]]*\\]", "");
    String line = detail.lines().findFirst().orElse("");
    out.println(result + "\t" + name + unique + "\t" + line);
  }

  private static String simple(String className) {
    return className.replace("org.postgresql.", "");
  }
}
